package fetch_test

import (
	"mime"
	"net/http"
	"strings"
	"testing"

	"example.org/sse/internal/fetch"
)

// Chromium decides in the same way: most of the values were tried in it.
func TestIsEventStream(t *testing.T) {
	for _, tt := range []struct {
		values string // one header in each line
		want   bool
	}{
		{"text/event-stream", true},
		{"TEXT/Event-Stream", true},
		{"text/event-stream;charset=utf-8", true},
		{"text/event-stream; charset=UTF-8", true},
		{"text/event-stream ; x=y", true},
		{"text/event-stream;charset=ISO-8859-1", false},
		{"text/event-stream;charset=utf8", false},
		{"text/event-stream;charset=us-ascii", false},
		{"text/event-stream; CHARSET=x", false},
		{"text/event-stream; a=b; charset=x", false},
		{"text/event-stream; charset='utf-8'", false},
		{"text/event-stream; charset=é", false},
		{"text/event-stream; charset", true},
		{"text/event-stream; charset=", true},
		{`text/event-stream; charset=""`, true},
		{`text/event-stream; charset="utf-8"`, true},
		{`text/event-stream; charset="utf-8`, true},
		{`text/event-stream; charset="utf-8" x`, true},
		{`text/event-stream; charset="u\tf-8"`, true},
		{"text/event-stream; charset= utf-8", true},
		{"text/event-stream; charset =x", true},
		{"text/event-stream; charſet=x", true},
		{"text/event-stream; charset=utf-8; charset=x", true},
		{"text/event-stream; charset=x; charset=utf-8", false},
		{"text/event-stream; =;;", true},
		{"text/event-stream;", true},
		{`text/event-stream; a=",text/html"`, true},
		{`text/event-stream; a="\",text/html"`, true},
		{`text/event-stream; a="`, true},
		{`text/event-stream; a="\`, true},
		{"text/event-stream, text/event-stream", true},
		{"text/event-stream\ntext/event-stream", true},
		{"text/html, text/event-stream", true},
		{"text/event-stream, text/html", false},
		{"text/event-stream\ntext/html", false},
		{"text/event-stream, */*", true},
		{"text/event-stream, x", true},
		{"text/event-stream; charset=utf-8, x", true},
		{"text/event-stream,", true},
		{",text/event-stream", true},
		{"text/event-stream;charset=x, text/event-stream", false},
		{"text/event-stream;charset=x, text/html, text/event-stream", true},
		{"text/event-stream, text/event-stream;charset=x", false},
		{"text/event-stream;charset=x, text/event-stream;charset=utf-8", true},
		{"text /event-stream", false},
		{"text/ event-stream", false},
		{"text/event-streams", false},
		{"event-stream", false},
		{"*/*", false},
		{"", false},
	} {
		h := http.Header{"Content-Type": strings.Split(tt.values, "\n")}
		if got := fetch.IsEventStream(h); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.values, got, tt.want)
		}
	}
	if fetch.IsEventStream(http.Header{}) {
		t.Error("got an event stream without a Content-Type, want none")
	}
}

// FuzzIsEventStream checks that nothing makes another type an event stream, that
// a value without a charset is one whatever its other parameters, and that package
// mime agrees about a value that both can parse.
func FuzzIsEventStream(f *testing.F) {
	for _, s := range []string{"text/event-stream", `a="b,c"; charset="utf-8"`, "charset=x, text/html", `"\`, ",;=", "*/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		is := func(value string) bool { return fetch.IsEventStream(http.Header{"Content-Type": {value}}) }
		if is(s) && !strings.Contains(strings.ToLower(s), "text/event-stream") {
			t.Fatalf("%q is an event stream", s)
		}
		if plain := strings.NewReplacer(",", "", `"`, "", "c", "x", "C", "X").Replace(s); !is("text/event-stream;" + plain) {
			t.Fatalf("%q is not an event stream", "text/event-stream;"+plain)
		}
		essence, parameters, err := mime.ParseMediaType(s)
		if err != nil || strings.ContainsAny(s, `,"*`) {
			return // lists, quoting and continuations are different there
		}
		charset := strings.TrimSpace(parameters["charset"])
		if want := essence == "text/event-stream" && (charset == "" || strings.EqualFold(charset, "utf-8")); is(s) != want {
			t.Fatalf("%q: got %v, want %v", s, is(s), want)
		}
	})
}

// Browsers send these values; they were read from Chromium's requests. An id with a
// control byte is sent by Chromium, and refused by Go's server with a 400.
func TestLastEventID(t *testing.T) {
	for _, tt := range []struct {
		id, want string
		ok       bool
	}{
		{"", "", false},
		{"5", "5", true},
		{"5 ", "5", true},
		{"  5\t", "5", true},
		{" ", "", true},
		{"\t", "", true},
		{"a b", "a b", true},
		{"a\tb", "a\tb", true},
		{"é", "é", true},
		{"\u00a05\u00a0", "\u00a05\u00a0", true},
		{`"a", b`, `"a", b`, true},
		{"a\nb", "a\nb", false},
		{"a\x01b", "a\x01b", false},
		{"5\v", "5\v", false},
		{"\x7f", "\x7f", false},
	} {
		if got, ok := fetch.LastEventID(tt.id); got != tt.want || ok != tt.ok {
			t.Errorf("%q: got %q, %v; want %q, %v", tt.id, got, ok, tt.want, tt.ok)
		}
	}
}
