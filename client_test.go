package sse_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/sse"
)

// Each request has the Last-Event-ID that the streams before it have left.
func TestClientResumes(t *testing.T) {
	for _, tt := range []struct {
		first   string
		streams []string
		want    string // the Last-Event-ID of each request
	}{
		{"", []string{"id: 1\ndata: x\n\n", "id\ndata: x\n\n", "data: x\n\n", "id: 2\ndata: x\n\n", "data: x\n\n", "", ":\n"}, "- 1 - - 2 2 2 2"},
		{"", []string{"id: 1\n\n", "id:\n\n", "id: 2\n\n"}, "- 1 - 2"},
		{"7", []string{"data: x\n\n", "id: 8\ndata: x\n", "id: 8", "id: 9\n\nid: 10\n"}, "7 7 7 7 9"},
		{"7", []string{"id\n\n"}, "7 -"},
		{"", []string{"id: a\x00\ndata: x\n\n", "id: b\n\nid: \x00\ndata: x\n\n"}, "- - b"},
		{"", []string{"id:  x\n\n", "id: x \n\n", "id: a\x01b\n\n", "id: a\tb\n\n", "id: \x7f\n\n", "id: a b\n\n", "id: é\n\n"}, "- x x - a\tb - a b é"},
		{"", []string{"id:  5\t\ndata: x\n\n", "id:  \n\n", "id\n\n"}, "- 5  -"},
		{" 5 ", []string{""}, "5 5"},
		{"a\nb", []string{""}, "- -"},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			var answers []http.HandlerFunc
			for _, s := range tt.streams {
				answers = append(answers, says(s))
			}
			script, client := tr.scripted(t, answers...)
			client.ResumeAfter = tt.first
			client.Header = http.Header{"Last-Event-Id": {"mine"}}
			if id := client.LastEventID(); id != tt.first {
				t.Errorf("got last event ID %q before the loop, want %q", id, tt.first)
			}
			if _, err := all(t, t.Context(), client); err != nil {
				t.Error(err)
			}
			if got := strings.Join(script.lastEventIDs(), " "); got != tt.want {
				t.Errorf("%q: got %s, want %s", tt.streams, got, tt.want)
			}
		})
	}
}

// The events of a connection follow the events of the connection before. An
// unfinished event is dropped.
func TestClientEvents(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		_, client := tr.scripted(t,
			says("\uFEFFdata: a\n\nid: 1\nevent: t\nda", "ta: b\n\ndata: never"),
			breaks("data: c\n\ndata: never\n"),
			says("\uFEFFretry: 200\ndata: d\r\n\r", "\n"))
		var lost []string
		client.OnError = func(err error, _ time.Duration) { lost = append(lost, err.Error()) }
		events, err := all(t, t.Context(), client)
		if got, want := strings.Join(events, " "), "message|a| t|b|1 message|c|1 message|d|1|200ms"; got != want || err != nil {
			t.Errorf("got %q, error %v; want %q", got, err, want)
		}
		if len(lost) != 3 || lost[0] != "EOF" || lost[1] == "EOF" || lost[2] != "EOF" {
			t.Errorf("OnError got %q, want EOF, another error, and EOF", lost)
		}
	})
}

// The error that ends the loop says why.
func TestClientStops(t *testing.T) {
	long := strings.Repeat("x", 10000)
	for _, tt := range []struct {
		answer  http.HandlerFunc
		status  int // of the ResponseError, 0 for none
		message string
	}{
		{answers(204, ""), 0, ""},
		{answers(404, "no such thing\n"), 404, `sse: the server answered with 404 Not Found where an event stream was asked for; the body begins "no such thing\n"`},
		{answers(500, long), 500, "500 Internal Server Error"},
		{answers(503, "", "Retry-After", "1"), 503, "503 Service Unavailable"},
		{answers(429, ""), 429, "429 Too Many Requests"},
		{answers(201, "data: x\n\n", "Content-Type", "text/event-stream"), 201, "201 Created"},
		{answers(205, "", "Content-Type", "text/event-stream"), 205, "205 Reset Content"},
		{answers(304, ""), 304, "304 Not Modified"},
		{answers(200, "<html>", "Content-Type", "text/html; charset=utf-8"), 200, `Content-Type "text/html; charset=utf-8" where an event stream was asked for; the body begins "<html>"`},
		{answers(200, "data: x\n\n", "Content-Type", ""), 200, `Content-Type ""`},
		{answers(200, "data: x\n\n", "Content-Type", "text/event-streams"), 200, `Content-Type "text/event-streams"`},
		{answers(200, "data: x\n\n", "Content-Type", "text/event-stream;charset=ISO-8859-1"), 200, `Content-Type "text/event-stream;charset=ISO-8859-1"`},
		{answers(200, "x", "Content-Type", "text/event-stream", "Content-Encoding", "br"), 200, `and Content-Encoding "br"`},
		{answers(401, "", "WWW-Authenticate", "Bearer"), 401, "401 Unauthorized"},
		{answers(302, ""), 302, "302 Found"},
		{answers(307, ""), 307, "307 Temporary Redirect"},
		{answers(301, "", "Location", ""), 301, "301 Moved Permanently"},
		{answers(302, "", "Location", "/"), 0, "stopped after 10 redirects"},
		{func(w http.ResponseWriter, r *http.Request) {
			answers(404, "and then nothing")(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 404, `"and then nothing"`},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			script, client := tr.scripted(t, slices.Repeat([]http.HandlerFunc{tt.answer}, 11)...)
			client.OnError = func(err error, _ time.Duration) { t.Errorf("got a reconnect after %v, want none", err) }
			start := time.Now()
			events, err := all(t, t.Context(), client)
			if len(events) > 0 || time.Since(start) > time.Second {
				t.Errorf("got events %q, after %v; want none, within a second", events, time.Since(start))
			}
			if (err == nil) != (tt.message == "") ||
				err != nil && (!strings.Contains(err.Error(), tt.message) || !strings.HasPrefix(err.Error(), "sse: ")) {
				t.Errorf("got error %v, want %q", err, tt.message)
			}
			var refused *sse.ResponseError
			if errors.As(err, &refused) != (tt.status > 0) {
				t.Fatalf("got error %v, want a ResponseError: %v", err, tt.status > 0)
			}
			if refused != nil && (refused.StatusCode != tt.status || refused.Header.Get("Date") == "" ||
				len(refused.Body) > 4<<10 || tt.status == 500 && len(refused.Body) < 4<<10) {
				t.Errorf("got %d, %v, %d bytes; want %d, a Date, at most 4 KiB",
					refused.StatusCode, refused.Header, len(refused.Body), tt.status)
			}
			if n := len(script.got()); n != 1 && !strings.Contains(tt.message, "redirect") {
				t.Errorf("got %d requests, want 1", n)
			}
		})
	}
	for _, typ := range []string{"text/event-stream", "text/event-stream;charset=utf-8", "TEXT/Event-Stream ; x=y", "text/html, text/event-stream"} {
		overEach(t, func(t *testing.T, tr transport) {
			_, client := tr.scripted(t, answers(200, "data: x\n\n", "Content-Type", typ))
			if events, err := all(t, t.Context(), client); len(events) != 1 || err != nil {
				t.Errorf("%s: got %q, error %v; want one event", typ, events, err)
			}
		})
	}
}

// A client that cannot make a request returns an error at once.
func TestClientBadRequests(t *testing.T) {
	fails := errors.New("fails")
	for _, tt := range []struct {
		message string
		client  *sse.Client
	}{
		{`URL "" is not`, &sse.Client{}},
		{`URL "/events" is not`, &sse.Client{URL: "/events"}},
		{`URL "ftp://example.org/" is not`, &sse.Client{URL: "ftp://example.org/"}},
		{`URL "http:///x" is not`, &sse.Client{URL: "http:///x"}},
		{`URL "localhost:8080" is not`, &sse.Client{URL: "localhost:8080"}},
		{"URL: parse", &sse.Client{URL: "http://[::1"}},
		{"URL: parse", &sse.Client{URL: "http://a b/"}},
		{"the Timeout of Client.HTTPClient, 1s, would end every stream", &sse.Client{URL: "http://memory/", HTTPClient: &http.Client{Timeout: time.Second}}},
		{"invalid method", &sse.Client{URL: "http://memory/", Method: "A B"}},
		{`invalid header name "a b"`, &sse.Client{URL: "http://memory/", Header: http.Header{"a b": {"x"}}}},
		{`invalid header name ""`, &sse.Client{URL: "http://memory/", Header: http.Header{"": {"x"}}}},
		{"the value of header Authorization contains a control byte", &sse.Client{URL: "http://memory/", Header: http.Header{"Authorization": {"ok", "Bearer x\n"}}}},
		{"GetBody: fails", &sse.Client{URL: "http://memory/", GetBody: func() (io.Reader, error) { return nil, fails }}},
		{"OnRequest: fails", &sse.Client{URL: "http://memory/", OnRequest: func(*http.Request) error { return fails }}},
	} {
		tt.client.OnError = func(err error, _ time.Duration) {
			t.Errorf("%s: got a reconnect after %v, want none", tt.message, err)
		}
		events, err := all(t, t.Context(), tt.client)
		if len(events) > 0 || err == nil || !strings.Contains(err.Error(), tt.message) || !strings.HasPrefix(err.Error(), "sse: ") {
			t.Errorf("got %q, error %v; want %s", events, err, tt.message)
		}
		if strings.HasSuffix(tt.message, "fails") && !errors.Is(err, fails) {
			t.Errorf("got %v, want an error that wraps %v", err, fails)
		}
	}
}

// Each request has the method, the body and the headers of the client.
func TestClientRequest(t *testing.T) {
	json := func() (io.Reader, error) { return strings.NewReader(`{"hello": "world"}`), nil }
	for _, tt := range []struct {
		client *sse.Client
		method string
		body   string
		header map[string]string
	}{
		{&sse.Client{}, "GET", "", map[string]string{"Accept": "text/event-stream", "Cache-Control": "no-cache", "Accept-Encoding": "gzip"}},
		{&sse.Client{Header: http.Header{"Accept": {"text/html"}, "Cache-Control": {"no-store"}, "X-Mine": {"a"}}}, "GET", "", map[string]string{"Accept": "text/html", "Cache-Control": "no-store", "X-Mine": "a"}},
		{&sse.Client{GetBody: json, Header: http.Header{"Content-Type": {"application/json"}}}, "POST", `{"hello": "world"}`, map[string]string{"Content-Type": "application/json", "Content-Length": "18"}},
		{&sse.Client{Method: "REPORT", GetBody: json}, "REPORT", `{"hello": "world"}`, nil},
		{&sse.Client{Method: "REPORT"}, "REPORT", "", nil},
		{&sse.Client{GetBody: func() (io.Reader, error) { return io.LimitReader(strings.NewReader("stream"), 3), nil }}, "POST", "str", nil},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			script, client := tr.scripted(t, says("data: x\n\n"), says("data: x\n\n"))
			client.URL = "http://memory/a%2Fb?c=d%20e&c"
			client.Header, client.Method, client.GetBody, client.RepeatPost = tt.client.Header, tt.client.Method, tt.client.GetBody, true
			n := 0
			client.OnRequest = func(r *http.Request) error {
				n++
				r.Header.Set("Authorization", fmt.Sprint("token ", n))
				return nil
			}
			kept := maps.Clone(client.Header)
			if _, err := all(t, t.Context(), client); err != nil {
				t.Error(err)
			}
			if !maps.EqualFunc(client.Header, kept, slices.Equal) {
				t.Errorf("the client changed its Header: got %v, want %v", client.Header, kept)
			}
			requests := script.got()
			if len(requests) != 3 {
				t.Fatalf("got %d requests, want 3", len(requests))
			}
			for i, r := range requests {
				if r.Method != tt.method || r.body != tt.body || r.RequestURI != "/a%2Fb?c=d%20e&c" {
					t.Errorf("got %s %s %q, want %s of the client's URL, %q", r.Method, r.RequestURI, r.body, tt.method, tt.body)
				}
				if got, want := r.Header.Get("Authorization"), fmt.Sprint("token ", i+1); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				for name, want := range tt.header {
					if got := r.Header.Get(name); got != want {
						t.Errorf("got %s %q, want %q", name, got, want)
					}
				}
			}
		})
	}
}
