package sse

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.org/sse/internal/wire"
)

// An Event is one message of a stream: what the browser hands to its listeners
// as a MessageEvent.
//
// Whatever its fields hold, an event arrives as exactly one event. What could
// break it in two is an error, [ErrInvalidEvent], or is encoded so that it
// cannot; see the fields.
type Event struct {
	// Type is the name that a client listens to. Empty, it is "message", as in
	// the browser, and no event line is sent. Control bytes (below 0x20, and
	// 0x7F) are an error.
	Type string

	// Data is the payload: text, HTML, JSON. It may have any number of lines;
	// CR, LF and CRLF each become one line end, LF at the client, and nothing
	// else changes. An event always has data, if only the empty string.
	Data string

	// ID becomes the client's last event ID, which it sends back when it
	// reconnects. Empty, it is left out, or given by the [Set] that the event
	// is dispatched to if that keeps a history. Control bytes, and spaces at
	// the ends, are an error: no client would send them back unchanged.
	ID string

	// Retry tells the client its reconnection time, from now on. It is sent in
	// whole milliseconds, rounded up. 0 leaves it out, a negative one is an
	// error.
	Retry time.Duration
}

// encode returns the event as it goes on the wire, preceded by room for the first
// line of a chunk, and by headroom bytes for an id line that is known only later.
// There is capacity for the end of a chunk, too.
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
func (e Event) encode(headroom int) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	data := wire.ValidUTF8(e.Data)
	hasCR := strings.IndexByte(data, '\r') >= 0
	lines := 1 + strings.Count(data, "\n")
	if hasCR {
		lines += strings.Count(data, "\r")
	}
	headroom += sizeRoom
	size := headroom + len(data) + lines*len("data: \n") + 1 + len(chunkEnd)
	if e.ID != "" {
		size += len("id: \n") + 3*len(e.ID)
	}
	if e.typed() {
		size += len("event: \n") + 3*len(e.Type)
	}
	if e.Retry > 0 {
		size += len("retry: \n") + 20
	}
	b := make([]byte, headroom, size)
	if e.ID != "" {
		b = appendField(b, "id: ", wire.ValidUTF8(e.ID))
	}
	if e.typed() {
		b = appendField(b, "event: ", wire.ValidUTF8(e.Type))
	}
	if e.Retry > 0 {
		b = appendRetry(b, e.Retry)
	}
	for more := true; more; {
		var line string
		line, data, more = cutLine(data, hasCR)
		b = appendField(b, "data: ", line)
	}
	return append(b, '\n'), nil
}

// typed reports whether the event needs an event line. One for "message" is
// left out: it is the default, and htmx 4 swaps only what has none.
func (e Event) typed() bool { return e.Type != "" && e.Type != "message" }

func (e Event) check() error {
	for _, field := range [...]struct{ name, value string }{{"Type", e.Type}, {"ID", e.ID}} {
		for i := range len(field.value) {
			if c := field.value[i]; c < 0x20 || c == 0x7f {
				return fmt.Errorf("%w: %s %.40q has the control byte 0x%02x at %d", ErrInvalidEvent, field.name, field.value, c, i)
			}
		}
	}
	if strings.HasPrefix(e.ID, " ") || strings.HasSuffix(e.ID, " ") {
		return fmt.Errorf("%w: ID %.40q begins or ends with a space", ErrInvalidEvent, e.ID)
	}
	if e.Retry < 0 {
		return fmt.Errorf("%w: Retry %v is negative", ErrInvalidEvent, e.Retry)
	}
	return nil
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, value...)
	return append(b, '\n')
}

func appendRetry(b []byte, retry time.Duration) []byte {
	ms := retry / time.Millisecond
	if retry%time.Millisecond > 0 {
		ms++
	}
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, int64(ms), 10)
	return append(b, '\n')
}

// chunk returns the event as one chunk.
func (e Event) chunk() (chunk, error) {
	buf, err := e.encode(0)
	if err != nil {
		return nil, err
	}
	return frame(buf, sizeRoom), nil
}

// retryBlock tells the client its reconnection time without an event. A browser
// dispatches nothing for a block without data; the event line is there for
// htmx 4, which passes over a block that has neither event nor data.
func retryBlock(retry time.Duration) []byte {
	b := appendField(nil, "event: ", "retry")
	return append(appendRetry(b, retry), '\n')
}

// cutLine cuts data after its first line end.
func cutLine(data string, hasCR bool) (line, rest string, more bool) {
	var i int
	if hasCR {
		i = strings.IndexAny(data, "\r\n")
	} else {
		i = strings.IndexByte(data, '\n')
	}
	if i < 0 {
		return data, "", false
	}
	if strings.HasPrefix(data[i:], "\r\n") {
		return data[:i], data[i+2:], true
	}
	return data[:i], data[i+1:], true
}
