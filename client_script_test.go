package sse_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// A script serves the nth request with its nth answer, and requests after the last
// answer with a 204. It records the requests.
type script struct {
	answers []http.HandlerFunc

	mu       sync.Mutex
	requests []request
}

type request struct {
	*http.Request
	at   time.Time
	body string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, request{r, time.Now(), string(body)})
	n := len(s.requests)
	s.mu.Unlock()
	if n > len(s.answers) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.answers[n-1](w, r)
}

// got returns the requests so far.
func (s *script) got() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// lastEventIDs returns the header of each request, "-" for one without.
func (s *script) lastEventIDs() (ids []string) {
	for _, r := range s.got() {
		if id, ok := r.Header["Last-Event-Id"]; ok {
			ids = append(ids, strings.Join(id, "+"))
		} else {
			ids = append(ids, "-")
		}
	}
	return ids
}

// says returns a handler that sends a stream in pieces, flushes each, and ends it.
func says(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for _, p := range pieces {
			io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
}

// stays is like says, but then waits for the client to leave.
func stays(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		says(pieces...)(w, r)
		<-r.Context().Done()
	}
}

// breaks is like says, but then breaks the connection.
func breaks(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		says(pieces...)(w, r)
		panic(http.ErrAbortHandler)
	}
}

// answers returns a handler that responds with a status, a body and pairs of header
// name and value.
func answers(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// scripted serves a script in memory and returns a client for it.
func (tr transport) scripted(t *testing.T, answers ...http.HandlerFunc) (*script, *sse.Client) {
	s := &script{answers: answers}
	return s, &sse.Client{URL: "http://memory/", HTTPClient: tr.serve(t, s).client}
}

// all runs a loop to its end and returns its events and its error. It checks that
// the error is the last pair.
func all(t *testing.T, ctx context.Context, c *sse.Client) (events []string, err error) { //nolint:revive // t comes first
	t.Helper()
	for e, failure := range c.Events(ctx) {
		if err != nil {
			t.Errorf("got the pair %+v, %v after the error %v, want no more", e, failure, err)
		}
		if err = failure; err == nil {
			events = append(events, show(e))
		} else if e != (sse.Event{}) {
			t.Errorf("got the event %+v with the error %v, want a zero event", e, err)
		}
		if err != nil && c.ReadyState() != sse.Closed {
			t.Errorf("got state %v with the last error, want Closed", c.ReadyState())
		}
	}
	if c.ReadyState() != sse.Closed {
		t.Errorf("got state %v after the loop, want Closed", c.ReadyState())
	}
	return events, err
}
