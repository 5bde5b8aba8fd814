package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	"example.org/sse/internal/wire"
)

const defaultMaxEvent = 16 << 20

// Events reads an event stream, such as the body of a response, and yields its
// events as they arrive, until the stream ends. As the standard says, an
// unfinished event at the end is dropped. If reading fails, the last pair is the
// error with a zero event. io.EOF ends the stream and is not yielded.
//
//	for event, err := range sse.Events(response.Body) {
//
// A [Decoder] does the work: it defines what an event is, which errors there are
// and how large an event may be. A loop reads no more than it needs for its next
// event, and leaves nothing to be closed. Another loop over the same value
// continues where the last one stopped; two must not run at the same time.
//
// Events reads a single response. A [Client] also makes the request, and
// reconnects when the stream ends.
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

// A Decoder reads the events of one stream by the algorithm of the HTML standard
// (section 9.2.6, "Interpreting an event stream"). It returns an event as soon as
// the event's blank line has arrived, however the stream is cut into reads.
//
// The fields may be set before the first call of Decode. A Decoder must not be
// used concurrently.
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
type Decoder struct {
	// LastEventID is the stream's last event ID at the latest blank line. A
	// block without data is not an event but can change it, too. To resume a
	// stream, set it to the last event ID of the stream before.
	LastEventID string

	// Retry is the stream's reconnection time, in whole milliseconds, at the
	// latest line. It keeps the value that it is set to until the stream sends
	// one.
	Retry time.Duration

	// MaxEvent is the maximum size of an event in bytes: its type, its id, its
	// data, and the name of the field that is being read. Comments and unknown
	// fields do not add up, but each is limited, too. The memory that a Decoder
	// uses is a small multiple of MaxEvent. 0: 16 MiB, negative: no limit.
	MaxEvent int

	// OnComment, if not nil, is called with the text after the colon of each
	// comment. Servers send comments when they have nothing else to send.
	OnComment func(text string)

	lines wire.Lines

	typ      string // the standard's event type buffer
	lastType string // the last type that was read; most events repeat it
	id       string // the standard's last event ID buffer, if hasID
	hasID    bool
	retry    time.Duration // the current block's
	began    bool          // the first line has been read
}

// NewDecoder returns a decoder that reads from r. It may read more from r than
// the events that it returns.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{lines: wire.Lines{R: r}}
}

// Decode reads and returns the next event:
//
//   - Type is never empty: an event without an event line is a "message", as in
//     the browser.
//   - Data has LF between its lines.
//   - ID is the last event ID. An event without an id of its own has the ID of
//     the event before. A client sends it to resume after this event.
//   - Retry is the reconnection time in the event's own block, or 0. The
//     Decoder's field Retry remembers it.
//
// An event that was dispatched with a type and an id is decoded unchanged, except
// that Retry is rounded up to whole milliseconds, and that line ends and invalid
// UTF-8 are replaced as [Event] says.
//
// At the end of the stream the error is io.EOF, and an unfinished event is
// dropped. If an event has more than MaxEvent bytes, the error is an
// [ErrTooLarge]. Any other error is the reader's. After an error every call
// returns it again.
func (d *Decoder) Decode() (Event, error) {
	for {
		line, err := d.lines.Next(d.room())
		if err != nil {
			return Event{}, d.failure(err)
		}
		if !d.began {
			d.began = true // "One leading U+FEFF character must be ignored if any are present."
			line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		}
		if len(line) > 0 {
			d.field(line)
		} else if e, ok := d.endBlock(); ok {
			return e, nil
		}
	}
}

// maxEvent returns the maximum size of an event.
func (d *Decoder) maxEvent() int {
	switch {
	case d.MaxEvent < 0:
		return math.MaxInt
	case d.MaxEvent == 0:
		return defaultMaxEvent
	}
	return d.MaxEvent
}

// room returns how many more bytes the event may have.
func (d *Decoder) room() int {
	return d.maxEvent() - d.lines.DataLen() - len(d.typ) - len(d.id)
}

// failure returns the error of Decode for an error of its lines.
func (d *Decoder) failure(err error) error {
	if errors.Is(err, wire.ErrLineTooLong) {
		return fmt.Errorf("%w: more than %d bytes, the limit of MaxEvent", ErrTooLarge, d.maxEvent())
	}
	return err
}

// field processes a line that is not blank.
func (d *Decoder) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
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
		d.lines.AddData(len(value))
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

// parseRetry returns the reconnection time of a retry field. It is valid if it
// consists of ASCII digits only. A time too long for a Duration becomes the
// longest Duration.
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

// endBlock ends a block, and returns its event if the block has data.
func (d *Decoder) endBlock() (Event, bool) {
	if d.hasID {
		d.LastEventID = d.id
		d.id, d.hasID = "", false
	}
	e := Event{Type: d.typ, ID: d.LastEventID, Retry: d.retry}
	if e.Type == "" {
		e.Type = "message"
	}
	data, ok := d.lines.TakeData()
	if ok {
		e.Data = wire.ValidUTF8(string(data))
	}
	if d.typ != "" {
		d.typ = ""
	}
	d.retry = 0
	return e, ok
}
