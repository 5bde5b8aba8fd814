package ssetest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// The messages of failed tests say what was expected and what the stream did.
func TestFailures(t *testing.T) {
	var group sse.Set
	mux := http.NewServeMux()
	mux.Handle("GET /group", &group)
	mux.HandleFunc("GET /late", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	mux.HandleFunc("GET /latin", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=iso-8859-1")
	})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "and no more")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/answer", func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer source.Close()
		source.DispatchEvent(sse.Event{Type: "token", Data: "Because", ID: "7"})
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: one\n\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, tt := range []struct {
		name string
		test func(t testing.TB, s *ssetest.Server)
		want string
		took time.Duration
	}{
		{"not found", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/nothing?a=b") },
			`GET /nothing?a=b: sse: the server answered with 404 Not Found where an event stream was asked for; the body begins "404 page not found\n"`, 0},
		{"a page", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/page") },
			`GET /page: sse: the server answered with Content-Type "text/html; charset=utf-8" where an event stream was asked for; the body begins "<html>"`, 0},
		{"another charset", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/latin") },
			`GET /latin: sse: the server answered with Content-Type "text/event-stream; charset=iso-8859-1" where an event stream was asked for; the body begins ""`, 0},
		{"no answer", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/late") },
			`GET /late: no response within 54s; a response begins with the handler's first Write or Flush, or at once with sse.Accept`, 54 * time.Second},
		{"endless refusal", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/endless") },
			`GET /endless: sse: the server answered with 503 Service Unavailable where an event stream was asked for; the body begins "and no more"`, time.Second},
		{"no URL", func(t testing.TB, s *ssetest.Server) { s.Open(t, "%") },
			`parse "%": invalid URL escape "%"`, 0},
		{"no event", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/group").Next() },
			`GET /group: no event within 10s: the stream is open; no events so far`, 10 * time.Second},
		{"own timeout", func(t testing.TB, s *ssetest.Server) {
			st := s.Open(t, "/group")
			st.Timeout = time.Minute
			st.Next()
		}, `GET /group: no event within 1m0s: the stream is open; no events so far`, time.Minute},
		{"stalled", func(t testing.TB, s *ssetest.Server) {
			st := s.Open(t, "/group")
			st.Stall()
			st.Next()
		}, `GET /group: no event within 10s: the stream is stalled; no events so far`, 10 * time.Second},
		{"no second event", func(t testing.TB, s *ssetest.Server) {
			st := s.Open(t, "/answer")
			st.Next()
			st.Next()
		}, `GET /answer: no event: the stream ended cleanly; events so far: 1, the last has type "token", data "Because", id "7"`, 0},
		{"broken", func(t testing.TB, s *ssetest.Server) {
			st := s.Open(t, "/broken")
			st.Next()
			st.Next()
		}, `GET /broken: no event: the stream ended with "unexpected EOF"; events so far: 1, the last has type "message", data "one"`, 0},
		{"left", func(t testing.TB, s *ssetest.Server) {
			st := s.Open(t, "/group")
			st.Close()
			st.Next()
		}, `GET /group: no event: the stream ended with "ssetest: stream closed by the test"; no events so far`, 0},
		{"no end", func(t testing.TB, s *ssetest.Server) { s.Open(t, "/group").End() },
			`GET /group: no end within 10s: the stream is open; no events so far`, 10 * time.Second},
		{"body gone", func(t testing.TB, s *ssetest.Server) {
			s.Do(t, httptest.NewRequest("POST", "/answer", strings.NewReader("body"))).Reconnect()
		}, `POST /answer: cannot send the request again: it has a Body but no GetBody`, 0},
		{"no member", func(t testing.TB, _ *ssetest.Server) { ssetest.AwaitLen(t, &group, 1) },
			`*sse.Set has 0 members after 10s, want 1`, 10 * time.Second},
		{"recorded no event", func(t testing.TB, _ *ssetest.Server) {
			ssetest.Record(t, sse.Events(strings.NewReader(""))).Next()
		}, `recorded stream: no event: the stream ended cleanly; no events so far`, 0},
		{"recorded forever", func(t testing.TB, _ *ssetest.Server) {
			r, w := io.Pipe()
			time.AfterFunc(time.Minute, func() { w.Close() })
			ssetest.Record(t, sse.Events(r))
		}, `recorded stream: still running 10s after the test; pass t.Context() to end it in time`, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := ssetest.NewMemoryServer(mux)
				defer server.Close()
				start := time.Now()
				if got := failures(func(t testing.TB) { tt.test(t, server) }); got != "ssetest: "+tt.want {
					t.Errorf("failed with\n%s\nwant\nssetest: %s", got, tt.want)
				}
				if d := time.Since(start).Truncate(100 * time.Millisecond); d != tt.took {
					t.Errorf("after %v, want %v", d, tt.took)
				}
				time.Sleep(time.Minute) // fake: goroutines that the test left behind end
			})
		})
	}
}

// A closed server answers no request.
func TestOpenAfterClose(t *testing.T) {
	for _, server := range []*ssetest.Server{ssetest.NewServer(nil), ssetest.NewMemoryServer(nil)} {
		server.Close()
		if s := failures(func(t testing.TB) { server.Open(t, "/events") }); !strings.HasPrefix(s, "ssetest: GET /events: ") {
			t.Errorf("failed with %q", s)
		}
	}
}
