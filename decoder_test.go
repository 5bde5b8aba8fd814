package sse_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

// A decoder reads a stream as the standard says. It was written for these tests,
// independently of the package's encoder and decoder.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
type decoder struct {
	r        *bufio.Reader
	skipLF   bool
	started  bool
	lastID   string
	retry    string // the last value of a retry field
	comments int
}

type message struct{ typ, data, id string }

func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReaderSize(r, 64<<10)} }

// line reads a line that ends with LF, CR or CRLF.
func (d *decoder) line() (string, error) {
	var b strings.Builder
	for {
		c, err := d.r.ReadByte()
		if err != nil {
			return "", err
		}
		if d.skipLF && c == '\n' {
			d.skipLF = false
			continue
		}
		d.skipLF = c == '\r'
		if c == '\n' || c == '\r' {
			return b.String(), nil
		}
		b.WriteByte(c)
	}
}

// next returns the next event. An unfinished event at the end is dropped.
func (d *decoder) next() (message, error) {
	var typ, data string
	var lines []string
	for {
		line, err := d.line()
		if err != nil {
			return message{}, err
		}
		if !d.started {
			d.started = true
			line = strings.TrimPrefix(line, "\uFEFF")
		}
		if line == "" {
			if lines == nil {
				typ = ""
				continue
			}
			if typ == "" {
				typ = "message"
			}
			data = strings.Join(lines, "\n")
			return message{typ, data, d.lastID}, nil
		}
		if line[0] == ':' {
			d.comments++
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			typ = value
		case "data":
			lines = append(lines, value)
		case "id":
			if !strings.Contains(value, "\x00") {
				d.lastID = value
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				d.retry = value
			}
		}
	}
}

// The tests' own decoder reads the standard's examples.
func TestDecoder(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"data: YHOO\ndata: +2\ndata: 10\n\n", "message|YHOO\n+2\n10|"},
		{": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", "message|first event|1 message|second event| message| third event|"},
		{"data\n\ndata\ndata\n\ndata:", "message|| message|\n|"},
		{"data:test\n\ndata: test\n\n", "message|test| message|test|"},
		{"\uFEFFevent: a\r\ndata: x\r\n\r\nevent: b\r\rdata: y\r\r", "a|x| message|y|"},
	} {
		d := newDecoder(strings.NewReader(tt.in))
		var got []string
		for e, err := d.next(); err == nil; e, err = d.next() {
			got = append(got, e.typ+"|"+e.data+"|"+e.id)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, s, tt.want)
		}
	}
}
