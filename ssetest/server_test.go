package ssetest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// What handlers and clients see of each other.
func TestProtocols(t *testing.T) {
	overEach(t, func(t *testing.T, k kind) {
		var protos []string
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			protos = append(protos, r.Proto)
			w.Header().Set("X-Path", r.URL.RequestURI())
			w.Header().Set("X-Header", r.Header.Get("Accept")+", "+r.Header.Get("X-Header"))
			body, _ := io.ReadAll(r.Body)
			source, err := sse.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer source.Close()
			source.Dispatch(r.Method, string(body))
		}))
		defer server.Close()
		if client := server.Client(); client != server.Client() {
			t.Error("not the same client")
		}
		response, err := server.Client().Get(server.URL + "/a?b=c")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		r := httptest.NewRequest("POST", "/a?b=c", strings.NewReader("body"))
		r.Header.Set("X-Header", "value")
		st := server.Do(t, r)
		if e := st.Next(); e.Type != "POST" || e.Data != "body" {
			t.Errorf("got %+v", e)
		}
		if h := st.Response.Header; h.Get("X-Path") != "/a?b=c" || h.Get("X-Header") != "text/event-stream, value" {
			t.Errorf("got headers %v", h)
		}
		if err := st.End(); err != nil {
			t.Error(err)
		}
		st = server.Open(t, "?b=c")
		if st.Response.Header.Get("X-Path") != "/?b=c" || st.Next().Type != "GET" {
			t.Errorf("got headers %v", st.Response.Header)
		}
		server.HTTP2 = !k.http2
		server.Open(t, "/").End()
		server.Close()
		want := "HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/2.0"
		if k.http2 {
			want = "HTTP/2.0 HTTP/2.0 HTTP/2.0 HTTP/1.1"
		}
		if got := strings.Join(protos, " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Streams are detached where possible, with the same results.
func TestDetached(t *testing.T) {
	before := sse.ReadStats()
	server := ssetest.NewServer(new(sse.Set))
	st := server.Open(t, "/")
	memory := ssetest.NewMemoryServer(new(sse.Set))
	other := memory.Open(t, "/")
	for end := time.Now().Add(2 * time.Minute); ; {
		now := sse.ReadStats()
		if now.Detached == before.Detached+2 || now.NotDetached["not Linux"] > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("stats %+v", now)
		}
		time.Sleep(time.Millisecond) // until the real handlers have run
	}
	server.Close()
	memory.Close()
	if st.End() != nil || other.End() != nil {
		t.Errorf("ended with %v and %v", st.End(), other.End())
	}
}

// A request with its own context ends with that context.
func TestDoContext(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		var group sse.Set
		server := k.serve(&group)
		defer server.Close()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, io.ErrNoProgress)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", "http://example.org/", nil)
		if err != nil {
			t.Fatal(err)
		}
		st := server.Do(t, r)
		st.Timeout = time.Hour
		if err := st.End(); err != io.ErrNoProgress {
			t.Errorf("ended with %v", err)
		}
		ssetest.AwaitLen(t, &group, 0)
	})
}
