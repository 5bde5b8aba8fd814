package sse_test

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"example.org/sse"
)

// wire returns what is sent for the events, without the comment in front.
func wire(t testing.TB, events ...sse.Event) (string, error) {
	w := httptest.NewRecorder()
	source, err := sse.Accept(w, httptest.NewRequest("GET", "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	var errs error
	for _, e := range events {
		errs = errors.Join(errs, source.DispatchEvent(e))
	}
	source.Close()
	body, ok := strings.CutPrefix(w.Body.String(), ":\n")
	if !ok {
		t.Fatalf("the stream begins with %.20q", w.Body)
	}
	return body, errs
}

func TestEventOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		e    sse.Event
		want string
	}{
		{sse.Event{}, "data: \n\n"},
		{sse.Event{Data: "hello"}, "data: hello\n\n"},
		{sse.Event{Type: "message", Data: "hello"}, "data: hello\n\n"},
		{sse.Event{Type: "chat", Data: "hello"}, "event: chat\ndata: hello\n\n"},
		{sse.Event{Data: "a\nb\rc\r\nd"}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		{sse.Event{Data: "\n"}, "data: \ndata: \n\n"},
		{sse.Event{Data: "a\n\n"}, "data: a\ndata: \ndata: \n\n"},
		{sse.Event{Data: "  two spaces"}, "data:   two spaces\n\n"},
		{sse.Event{Data: "\n\r"}, "data: \ndata: \ndata: \n\n"},
		{sse.Event{Data: "\x00\uFEFF\u2028"}, "data: \x00\uFEFF\u2028\n\n"},
		{sse.Event{ID: "7", Data: "x"}, "id: 7\ndata: x\n\n"},
		{sse.Event{Retry: 2500 * time.Millisecond, Data: "x"}, "retry: 2500\ndata: x\n\n"},
		{sse.Event{Retry: time.Nanosecond, Data: "x"}, "retry: 1\ndata: x\n\n"},
		{sse.Event{Type: "a\xFFb", ID: "\xF0\x9F", Data: "x"}, "id: \uFFFD\nevent: a\uFFFDb\ndata: x\n\n"},
		// https://encoding.spec.whatwg.org/#utf-8-decoder: one U+FFFD for each maximal subpart.
		{sse.Event{Data: "\xE2\x82x"}, "data: \uFFFDx\n\n"},
		{sse.Event{Data: "\xF0\x9F\x98\xF0\x9F\x98\x80"}, "data: \uFFFD\U0001F600\n\n"},
		{sse.Event{Data: "\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80"}, "data: " + strings.Repeat("\uFFFD", 9) + "\n\n"},
		{sse.Event{Data: "\xE0\x80\xF0\x80\x80\xF5"}, "data: " + strings.Repeat("\uFFFD", 6) + "\n\n"},
		{sse.Event{Data: "\xE0\xA0\xF4\x8F\xBF\xED\x9F"}, "data: " + strings.Repeat("\uFFFD", 3) + "\n\n"},
	} {
		if got, err := wire(t, tt.e); err != nil || got != tt.want {
			t.Errorf("%+v: got %q, error %v; want %q", tt.e, got, err, tt.want)
		}
	}
}

func TestInvalidEvent(t *testing.T) {
	for _, tt := range []struct {
		field string
		e     sse.Event
	}{
		{"Type", sse.Event{Type: "a\nid: 1"}},
		{"Type", sse.Event{Type: "a\r"}},
		{"Type", sse.Event{Type: "\x00"}},
		{"Type", sse.Event{Type: "\t"}},
		{"Type", sse.Event{Type: "\x7f"}},
		{"ID", sse.Event{ID: "1\n"}},
		{"ID", sse.Event{ID: "\r1"}},
		{"ID", sse.Event{ID: "1\x002"}},
		{"ID", sse.Event{ID: "\x1b"}},
		{"ID", sse.Event{ID: " 1"}},
		{"ID", sse.Event{ID: "1 "}},
		{"ID", sse.Event{ID: " "}},
		{"Retry", sse.Event{Retry: -1}},
	} {
		var group sse.Set
		_, errSet := group.DispatchEvent(tt.e)
		got, err := wire(t, tt.e, sse.Event{Data: "usable"})
		for _, err := range []error{err, errSet} {
			if !errors.Is(err, sse.ErrInvalidEvent) || !strings.Contains(err.Error(), tt.field) {
				t.Errorf("%+v: got error %v; want ErrInvalidEvent that names %s", tt.e, err, tt.field)
			}
		}
		if got != "data: usable\n\n" {
			t.Errorf("%+v: got %q on the wire", tt.e, got)
		}
	}
}

// Law 1: whatever the fields hold, an event that is not refused arrives as
// exactly one event, and as the one that was sent.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{"", "message", "x", "a\nb", "a\r\nb\r", "\x00", "\uFEFF", "\u2028", "\xff\xfe", "data: x", "id: 1\n\ndata: 2", "retry: 5", ": c", " a ", "\n\n\n"} {
		f.Add(s, s, s, int64(0))
		f.Add("t", s, "", int64(1500))
		f.Add(s, "d", s, int64(-1))
	}
	f.Fuzz(func(t *testing.T, typ, data, id string, retry int64) {
		e := sse.Event{Type: typ, Data: data, ID: id, Retry: time.Duration(retry)}
		got, err := wire(t, e, sse.Event{Data: "next"})
		bad := strings.ContainsFunc(typ+id, func(r rune) bool { return r < 0x20 || r == 0x7f }) ||
			strings.Trim(id, " ") != id || retry < 0
		if bad != errors.Is(err, sse.ErrInvalidEvent) {
			t.Fatalf("%+v: error %v", e, err)
		}
		if !utf8.ValidString(got) {
			t.Fatalf("%+v: ill-formed %q", e, got)
		}
		d := newDecoder(strings.NewReader(got))
		if err == nil {
			want := message{typ: asBrowser(typ), data: asBrowser(lineEnds.Replace(data)), id: asBrowser(id)}
			if want.typ == "" {
				want.typ = "message"
			}
			if m, err := d.next(); err != nil || m != want {
				t.Fatalf("%+v: got %q, error %v; want %q; wire %q", e, m, err, want, got)
			}
		}
		if m, err := d.next(); err != nil || m.typ != "message" || m.data != "next" {
			t.Fatalf("%+v: got %q, error %v after it", e, m, err)
		}
		if m, err := d.next(); err != io.EOF {
			t.Fatalf("%+v: got another event: %q", e, m)
		}
		if hasRetry := err == nil && retry > 0; (d.retry != "") != hasRetry || d.comments != 0 {
			t.Fatalf("%+v: retry %q, %d comments", e, d.retry, d.comments)
		}
	})
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// asBrowser decodes UTF-8 by the state machine of the Encoding standard, which
// is not how the package does it. https://encoding.spec.whatwg.org/#utf-8-decoder
func asBrowser(s string) string {
	var out bytes.Buffer
	var point rune
	needed, seen := 0, 0
	lower, upper := byte(0x80), byte(0xBF)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if needed == 0 {
			switch {
			case c <= 0x7F:
				out.WriteByte(c)
			case c >= 0xC2 && c <= 0xDF:
				needed, point = 1, rune(c&0x1F)
			case c >= 0xE0 && c <= 0xEF:
				if c == 0xE0 {
					lower = 0xA0
				}
				if c == 0xED {
					upper = 0x9F
				}
				needed, point = 2, rune(c&0xF)
			case c >= 0xF0 && c <= 0xF4:
				if c == 0xF0 {
					lower = 0x90
				}
				if c == 0xF4 {
					upper = 0x8F
				}
				needed, point = 3, rune(c&0x7)
			default:
				out.WriteRune(utf8.RuneError)
			}
			continue
		}
		if c < lower || c > upper {
			point, needed, seen, lower, upper = 0, 0, 0, 0x80, 0xBF
			out.WriteRune(utf8.RuneError)
			i-- // restore
			continue
		}
		lower, upper = 0x80, 0xBF
		point = point<<6 | rune(c&0x3F)
		if seen++; seen == needed {
			out.WriteRune(point)
			point, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 {
		out.WriteRune(utf8.RuneError)
	}
	return out.String()
}
