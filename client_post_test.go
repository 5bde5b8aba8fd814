package sse_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.org/sse"
)

// A client that must not repeat its request does not, whatever ends the first one.
func TestClientOnce(t *testing.T) {
	prompt := func() (io.Reader, error) { return strings.NewReader("prompt"), nil }
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, tt := range []struct {
		client *sse.Client
		answer http.HandlerFunc
		events int
		err    string
	}{
		{&sse.Client{Method: "POST"}, says("data: x\n\n"), 1, ""},
		{&sse.Client{Method: "PATCH"}, says("data: x\n\n"), 1, ""},
		{&sse.Client{Method: "post"}, says("data: x\n\n"), 1, ""},
		{&sse.Client{Method: "POST"}, breaks("data: x\n\n"), 1, "sse: stream failed (not retried; a POST is with Client.RepeatPost): "},
		{&sse.Client{GetBody: prompt}, says("data: x\n\n"), 1, ""},
		{&sse.Client{GetBody: prompt}, breaks("data: x\n\n"), 1, "a POST is with Client.RepeatPost"},
		{&sse.Client{GetBody: prompt, Method: "PATCH"}, breaks(), 0, "a PATCH is with Client.RepeatPost"},
		{&sse.Client{GetBody: prompt, IdleTimeout: time.Second}, silent, 0, "silent for the IdleTimeout of 1s"},
		{&sse.Client{GetBody: prompt, IdleTimeout: time.Second}, stays("data: x\n\n"), 1, "silent for the IdleTimeout of 1s"},
		{&sse.Client{GetBody: prompt, Persistent: true}, answers(503, "busy"), 0, "sse: the server answered with 503"},
		{&sse.Client{GetBody: prompt}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "a POST is with Client.RepeatPost"},
		{&sse.Client{Retry: -1, RepeatPost: true, GetBody: prompt}, breaks("data: x\n\n"), 1, "sse: stream failed (not retried): "},
		{&sse.Client{Retry: -1}, says("retry: 5\ndata: x\n\n"), 1, ""},
		{&sse.Client{Retry: -1}, breaks("data: x\n\n"), 1, "sse: stream failed (not retried): "},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			script, client := tr.scripted(t, tt.answer)
			client.Method, client.Retry, client.GetBody, client.RepeatPost = tt.client.Method, tt.client.Retry, tt.client.GetBody, tt.client.RepeatPost
			client.IdleTimeout, client.Persistent = tt.client.IdleTimeout, tt.client.Persistent
			client.OnError = func(err error, _ time.Duration) { t.Errorf("got a reconnect after %v, want none", err) }
			events, err := all(t, t.Context(), client)
			if len(events) != tt.events || (err == nil) != (tt.err == "") || len(script.got()) != 1 {
				t.Errorf("got %q, error %v, %d requests; want %d events, error %q, one request", events, err, len(script.got()), tt.events, tt.err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), "sse: ") || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

// A POST is repeated if the program asks for that.
func TestClientRepeatPost(t *testing.T) {
	for _, tt := range []struct {
		client *sse.Client
		body   string
	}{
		{&sse.Client{GetBody: func() (io.Reader, error) { return strings.NewReader("prompt"), nil }}, "prompt"},
		{&sse.Client{Method: "PATCH"}, ""},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			script, client := tr.scripted(t, says("data: x\n\n"), breaks("data: x\n\n"), answers(503, ""))
			client.Method, client.GetBody, client.RepeatPost, client.Persistent = tt.client.Method, tt.client.GetBody, true, true
			if events, err := all(t, t.Context(), client); len(events) != 2 || err != nil || len(script.got()) != 4 {
				t.Errorf("got %q, error %v, %d requests; want two events, 4 requests", events, err, len(script.got()))
			}
			for _, r := range script.got() {
				if r.body != tt.body {
					t.Errorf("got the body %q, want %q", r.body, tt.body)
				}
			}
		})
	}
}

// A POST that no server could have received is repeated; one that a server has
// received is not.
func TestClientPostRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var srv *http.Server
	posts := 0
	client := sse.Client{URL: "http://" + address, HTTPClient: &http.Client{Transport: new(http.Transport)}, Retry: 1}
	client.GetBody = func() (io.Reader, error) { return strings.NewReader("prompt"), nil }
	client.OnError = func(error, time.Duration) {
		if srv != nil {
			return
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skip(err) // another process took the port
		}
		srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			posts++
			breaks("data: x\n\n")(w, r)
		})}
		go srv.Serve(l)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events, err := all(t, ctx, &client)
	if srv == nil {
		t.Fatalf("got error %v, want a reconnect after a refused connection", err)
	}
	srv.Close()
	if len(events) != 1 || posts != 1 || err == nil || !strings.Contains(err.Error(), "RepeatPost") {
		t.Errorf("got %q, error %v, %d requests; want one event, an error that names RepeatPost, one request", events, err, posts)
	}
}
