package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An Event is an event before it is encoded. Package sse documents the fields.
type Event struct {
	Type, Data, ID string
	Retry          time.Duration
}

// Check returns nil for an event that can be sent, and else which field is wrong.
func (e Event) Check() error {
	for _, field := range [...]struct{ name, value string }{{"Type", e.Type}, {"ID", e.ID}} {
		for i := range len(field.value) {
			if c := field.value[i]; c < 0x20 || c == 0x7f {
				return fmt.Errorf("%s %.40q has the control byte 0x%02x at %d", field.name, field.value, c, i)
			}
		}
	}
	if strings.HasPrefix(e.ID, " ") || strings.HasSuffix(e.ID, " ") {
		return fmt.Errorf("ID %.40q begins or ends with a space", e.ID)
	}
	if e.Retry < 0 {
		return fmt.Errorf("Retry %v is negative", e.Retry)
	}
	return nil
}

// Encode returns an event that Check has passed as it goes on the wire, preceded
// by SizeRoom bytes, and by headroom bytes for an id line that is known only
// later. There is capacity for the end of a chunk. See [Frame].
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
func (e Event) Encode(headroom int) []byte {
	data := ValidUTF8(e.Data)
	hasCR := strings.IndexByte(data, '\r') >= 0
	lines := 1 + strings.Count(data, "\n")
	if hasCR {
		lines += strings.Count(data, "\r")
	}
	headroom += SizeRoom
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
		b = appendField(b, "id: ", ValidUTF8(e.ID))
	}
	if e.typed() {
		b = appendField(b, "event: ", ValidUTF8(e.Type))
	}
	if e.Retry > 0 {
		b = appendRetry(b, e.Retry)
	}
	for more := true; more; {
		var line string
		line, data, more = cutLine(data, hasCR)
		b = appendField(b, "data: ", line)
	}
	return append(b, '\n')
}

// Decode returns the event of a block that Encode has made, with LF as the line end.
func Decode(block []byte) (e Event) {
	var data []string
	for line := range strings.Lines(string(block)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			e.ID = value
		case "event":
			e.Type = value
		case "retry":
			ms, _ := strconv.ParseInt(value, 10, 64)
			e.Retry = time.Duration(ms) * time.Millisecond
		case "data":
			data = append(data, value)
		}
	}
	e.Data = strings.Join(data, "\n")
	return e
}

// Chunk returns an event that Check has passed as one chunk.
func (e Event) Chunk() Chunk { return Frame(e.Encode(0), SizeRoom) }

// typed reports whether the event needs an event line. One for "message" is
// left out: it is the default, and htmx 4 swaps only events without the line.
func (e Event) typed() bool { return e.Type != "" && e.Type != "message" }

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

// Retry returns a chunk that sets the client's reconnection time without an event. A
// client takes the line as soon as it ends, and a blank line after it would be the end
// of a block, which some clients take for an event although it has no data. So the line
// becomes part of the next event's block, if there is one.
func Retry(retry time.Duration) Chunk { return NewChunk(appendRetry(nil, retry)) }

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
