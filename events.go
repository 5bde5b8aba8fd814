package sse

import (
	"bytes"
	"io"
	"iter"
	"math"
	"time"

	"example.org/sse/internal/wire"
)

// Events reads an event stream, such as the body of a response, and yields its
// events as they come, until the stream ends. An event that is unfinished then
// is dropped, as the standard says. If reading fails, the error is yielded once,
// with a zero event, as the last pair; io.EOF is the regular end, and is not.
//
//	for event, err := range sse.Events(response.Body) {
//
// What an event is, which errors there are, and how many bytes one may have, is
// [Decoder]'s to tell, which does the work. A loop reads no further than it must
// for its event, and holds nothing that must be closed; another loop over the
// same value goes on where the last one stopped. One at a time may run.
//
// Events reads one response. A [Client] makes the request, too, and comes back
// when the stream ends.
func Events(r io.Reader) iter.Seq2[Event, error] {
	d := NewDecoder(r)
	return func(yield func(Event, error) bool) {
		for {
			e, err := d.Decode()
			if err == io.EOF || !yield(e, err) || err != nil { //nolint:errorlint // an error that wraps it is a failure
				return
			}
		}
	}
}

// A Decoder reads the events of one stream, by the algorithm of the HTML
// standard (section 9.2.6, "Interpreting an event stream"), however the stream
// is cut into reads: an event is there as soon as its blank line is.
//
// The fields may be set before the first event is decoded. A Decoder is for one
// goroutine at a time.
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
type Decoder struct {
	// LastEventID is the last event ID of the stream, as of the blank line that
	// was read last. It changes by blocks without data too, which are no
	// events, and begins with what it is set to: what the stream before this
	// one ended with, if this one resumes it.
	LastEventID string

	// Retry is the reconnection time, in whole milliseconds, as of the line
	// that was read last. It begins with what it is set to, and remains so if
	// the stream tells none.
	Retry time.Duration

	// MaxEvent is how many bytes an event may have: its type, its id and its
	// data, with the name of the field that is being read. Comments and unknown
	// fields do not add up, but none may be longer. The memory that a Decoder
	// takes is a small multiple. 0: 16 MiB, negative: no limit.
	MaxEvent int

	// OnComment, if not nil, is called with each comment: what its line has
	// after the colon. Servers send some when they have nothing else to send.
	OnComment func(text string)

	lines lines

	typ      string // the event type buffer
	lastType string // of any event: most are of the type of another one
	id       string // the last event ID buffer, if hasID
	hasID    bool
	retry    time.Duration // of the block
	began    bool          // the first line has been read
}

// NewDecoder returns a decoder that reads from r. It may read more than it
// decodes.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{lines: lines{r: r}}
}

// Decode reads and returns the next event:
//
//   - Type is never empty: an event without an event line is a "message", as in
//     the browser.
//   - Data has LF between its lines.
//   - ID is the last event ID, which events without an id of their own take over
//     from those before. It is what a client would send to resume after this one.
//   - Retry is what the event's own block says, 0 if nothing. The field Retry
//     remembers it.
//
// An event that was dispatched with a type and an id is decoded as it was, but
// for a Retry that is no whole number of milliseconds, and for what [Event]
// says of line ends and of invalid UTF-8.
//
// At the end of the stream the error is io.EOF, an unfinished event being
// dropped. An event of more than MaxEvent bytes is an [ErrTooLarge]. Any other
// error is the reader's. After an error every call returns it again.
func (d *Decoder) Decode() (Event, error) {
	for {
		start, end, err := d.lines.next(d.budget())
		if err != nil {
			return Event{}, err
		}
		if !d.began {
			d.began = true // "One leading U+FEFF character must be ignored if any are present."
			if bytes.HasPrefix(d.lines.buf[start:end], []byte("\uFEFF")) {
				start += len("\uFEFF")
			}
		}
		if start < end {
			d.field(start, end)
		} else if e, ok := d.dispatch(); ok {
			return e, nil
		}
	}
}

const defaultMaxEvent = 16 << 20

// budget returns how many bytes the next line may have, and the limit.
func (d *Decoder) budget() (most, limit int) {
	switch limit = d.MaxEvent; {
	case limit < 0:
		return math.MaxInt, math.MaxInt
	case limit == 0:
		limit = defaultMaxEvent
	}
	return limit - (d.lines.dataEnd - d.lines.data) - len(d.typ) - len(d.id), limit
}

// field processes a line that is not blank, at buf[start:end].
func (d *Decoder) field(start, end int) {
	name, value, _ := bytes.Cut(d.lines.buf[start:end], []byte{':'})
	if len(name) == 0 {
		if d.OnComment != nil {
			d.OnComment(wire.ValidUTF8(string(value)))
		}
		return
	}
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		d.lines.keep(end-len(value), end)
	case "event":
		if string(value) != d.lastType {
			d.lastType = wire.ValidUTF8(string(value))
		}
		d.typ = d.lastType
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id, d.hasID = wire.ValidUTF8(string(value)), true
		}
	case "retry":
		if t, ok := parseRetry(value); ok {
			d.Retry, d.retry = t, t
		}
	}
}

// parseRetry returns the reconnection time of a retry field, which is one if it
// consists of only ASCII digits. One beyond what a Duration can hold is the
// longest.
func parseRetry(value []byte) (time.Duration, bool) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	var ms int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		ms = min(10*ms+int64(c-'0'), most+1)
	}
	if ms > most {
		return math.MaxInt64, true
	}
	return time.Duration(ms) * time.Millisecond, len(value) > 0
}

// dispatch ends a block: with an event, if the block has data.
func (d *Decoder) dispatch() (Event, bool) {
	if d.hasID {
		d.LastEventID = d.id
		d.id, d.hasID = "", false
	}
	e := Event{Type: d.typ, ID: d.LastEventID, Retry: d.retry}
	if e.Type == "" {
		e.Type = "message"
	}
	data, ok := d.lines.take()
	if ok {
		e.Data = wire.ValidUTF8(string(data))
	}
	if d.typ != "" {
		d.typ = ""
	}
	d.retry = 0
	return e, ok
}
