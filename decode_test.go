package sse_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"example.org/sse"
	"example.org/sse/internal/clauses"
)

// decode reads all events and returns each as type|data|id, with |retry if it has one.
func decode(r io.Reader) (events string, err error) {
	d := sse.NewDecoder(r)
	var all []string
	for {
		e, err := d.Decode()
		if err == io.EOF {
			err = nil
		} else if err == nil {
			all = append(all, show(e))
			continue
		}
		return strings.Join(all, " / "), err
	}
}

func show(e sse.Event) string {
	s := e.Type + "|" + e.Data + "|" + e.ID
	if e.Retry != 0 {
		s += "|" + e.Retry.String()
	}
	return s
}

// Each clause holds with each kind of line end, however the stream is cut into reads.
func TestDecode(t *testing.T) {
	for _, tt := range clauses.All {
		for _, eol := range []string{"\n", "\r", "\r\n", "mixed"} {
			in := strings.ReplaceAll(tt.In, "\n", eol)
			if eol == "mixed" {
				in = mixedLineEnds(tt.In)
			}
			check := func(how string, r io.Reader) {
				t.Helper()
				if got, err := decode(r); got != tt.Want || err != nil {
					t.Errorf("%s: %q, %s: got %q, error %v; want %q", tt.Name, in, how, got, err, tt.Want)
				}
			}
			check("at once", strings.NewReader(in))
			check("with the end of file", iotest.DataErrReader(strings.NewReader(in)))
			check("byte by byte", iotest.OneByteReader(strings.NewReader(in)))
			check("in halves", iotest.HalfReader(strings.NewReader(in)))
			for i := range in {
				check(fmt.Sprintf("cut at %d", i), &chunks{in[:i], "", in[i:]})
			}
		}
	}
}

// mixedLineEnds replaces each LF by one of the three line ends, in an order in which
// no CR meets a LF of the next line end.
func mixedLineEnds(s string) string {
	var b strings.Builder
	n := 0
	for i := range len(s) {
		switch {
		case s[i] != '\n':
			b.WriteByte(s[i])
			continue
		case n%3 == 0:
			b.WriteString("\r\n")
		case n%3 == 1:
			b.WriteString("\n")
		default:
			b.WriteString("\r") // and then CRLF
		}
		n++
	}
	return b.String()
}

// chunks is a reader that returns one chunk per read.
type chunks []string

func (c *chunks) Read(p []byte) (int, error) {
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*c)[0])
	if n == len((*c)[0]) {
		*c = (*c)[1:]
	} else {
		(*c)[0] = (*c)[0][n:]
	}
	return n, nil
}

// An event is returned as soon as its blank line has been read, without another read.
// A LF after a CR does not end another line.
func TestDecodeAtOnce(t *testing.T) {
	for _, tt := range []struct {
		reads []string
		want  []string // one event, or none, after each read
	}{
		{[]string{"data: x\n\n", "data: y\n\n"}, []string{"x", "y"}},
		{[]string{"data: x\r\r", "data: y\r\r"}, []string{"x", "y"}},
		{[]string{"data: x\r\n\r", "\ndata: y\r\n\r", "\n\ndata: z\n", "\n"}, []string{"x", "y", "", "z"}},
		{[]string{"data: x\r", "\r", "data: y\r", "\n\r", "\n\r\n"}, []string{"", "x", "", "y", ""}},
		{[]string{"data: x\r", "\n", "\n", "data: y\n\r"}, []string{"", "", "x", "y"}},
		{[]string{"data: x\n\n:", "\n"}, []string{"x", ""}},
	} {
		i := 0
		d := sse.NewDecoder(readFunc(func(p []byte) (int, error) {
			if i == len(tt.reads) {
				return 0, io.EOF
			}
			i++
			return copy(p, tt.reads[i-1]), nil
		}))
		for n, want := range tt.want {
			if want == "" {
				continue
			}
			if e, err := d.Decode(); err != nil || e.Data != want || i != n+1 {
				t.Errorf("%q: got %q, error %v after %d reads; want %q after %d", tt.reads, e.Data, err, i, want, n+1)
			}
		}
		if e, err := d.Decode(); err != io.EOF {
			t.Errorf("%q: got %q, error %v at the end; want %v", tt.reads, e.Data, err, io.EOF)
		}
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// LastEventID changes at blank lines, and Retry at the end of its line.
func TestDecoderState(t *testing.T) {
	for _, tt := range []struct {
		in, id string
		retry  time.Duration
	}{
		{"", "begin", -1},
		{"data: x\n\n", "begin", -1},
		{"id: 1\n", "begin", -1},
		{"id: 1\n\n", "1", -1},
		{"id: 1\n\nid: 2\ndata: x\n", "1", -1},
		{"id\n\n", "", -1},
		{"id: 1\n\nid: a\x00\n\n", "1", -1},
		{"retry: 1500\n", "begin", 1500 * time.Millisecond},
		{"retry: 1500", "begin", -1},
		{"retry: 1500\r", "begin", 1500 * time.Millisecond},
		{"retry: 0\n", "begin", 0},
		{"retry: 7\nretry: x\n\n\n", "begin", 7 * time.Millisecond},
		{"retry: 9223372036854\n", "begin", 9223372036854 * time.Millisecond},
		{"retry: 9223372036855\n", "begin", math.MaxInt64},
		{"retry: 18446744073709551617\n", "begin", math.MaxInt64},
		{"retry: " + strings.Repeat("9", 1000) + "\n", "begin", math.MaxInt64},
		{"retry: " + strings.Repeat("0", 1000) + "1\n", "begin", time.Millisecond},
	} {
		d := sse.NewDecoder(strings.NewReader(tt.in))
		d.LastEventID, d.Retry = "begin", -1
		for {
			if _, err := d.Decode(); err != nil {
				break
			}
		}
		if d.LastEventID != tt.id || d.Retry != tt.retry {
			t.Errorf("%.40q: got id %q, retry %d; want %q, %d", tt.in, d.LastEventID, d.Retry, tt.id, tt.retry)
		}
	}
	d := sse.NewDecoder(strings.NewReader("data: x\n\n"))
	d.LastEventID = "7"
	if e, err := d.Decode(); e.ID != "7" || err != nil {
		t.Errorf("got id %q, error %v for an event of a resumed stream; want %q", e.ID, err, "7")
	}
}

func TestDecoderOnComment(t *testing.T) {
	d := sse.NewDecoder(iotest.OneByteReader(strings.NewReader("\uFEFF:Hello\n:\ndata: x\n: \xff a:b\r\n\n:cut")))
	var got []string
	d.OnComment = func(text string) { got = append(got, text) }
	for {
		if _, err := d.Decode(); err != nil {
			break
		}
	}
	if s, want := fmt.Sprintf("%q", got), `["Hello" "" " \ufffd a:b"]`; s != strings.ReplaceAll(want, `\ufffd`, "\uFFFD") {
		t.Errorf("got %s, want %s", s, want)
	}
}

// An error of the reader follows the events that were read before it, and is
// permanent.
func TestDecodeErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		how  string
		r    io.Reader
		want error
	}{
		{"an error", io.MultiReader(strings.NewReader("data: x\n\ndata: y\n"), iotest.ErrReader(broken)), broken},
		{"an error with data", iotest.DataErrReader(io.MultiReader(strings.NewReader("data: x\n\ndata: y\n"), iotest.ErrReader(broken))), broken},
		{"an unexpected end", io.MultiReader(strings.NewReader("data: x\n\ndata: y\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		{"a reader without progress", io.MultiReader(strings.NewReader("data: x\n\ndata: y\n"), readFunc(func([]byte) (int, error) { return 0, nil })), io.ErrNoProgress},
		{"the end", strings.NewReader("data: x\n\ndata: y\n"), io.EOF},
	} {
		d := sse.NewDecoder(tt.r)
		if e, err := d.Decode(); err != nil || e.Data != "x" {
			t.Errorf("%s: got %q, error %v before it; want %q", tt.how, e.Data, err, "x")
		}
		for range 2 {
			if e, err := d.Decode(); err != tt.want || e != (sse.Event{}) {
				t.Errorf("%s: got %q, error %v; want %v", tt.how, e.Data, err, tt.want)
			}
		}
	}
}

func TestEvents(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		end  error
		want string
	}{{io.EOF, "x y "}, {broken, "x y broken "}, {io.ErrUnexpectedEOF, "x y unexpected EOF "}} {
		events := sse.Events(io.MultiReader(strings.NewReader("data: x\n\ndata: y\n\ndata: z\n"), iotest.ErrReader(tt.end)))
		var got strings.Builder
		for e := range events { // the next loop continues
			got.WriteString(e.Data + " ")
			break
		}
		for e, err := range events {
			if err != nil {
				e.Data += err.Error()
			}
			got.WriteString(e.Data + " ")
		}
		if got.String() != tt.want {
			t.Errorf("got %q, want %q", got.String(), tt.want)
		}
	}
}
