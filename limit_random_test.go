package sse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A turnstile serves users a number of streams, and keeps a count of its own.
type turnstile struct {
	limit *sse.Limit
	most  int

	mu       sync.Mutex
	sources  map[string][]*sse.EventSource
	admitted int
	failed   string
}

// open returns how many streams of a user are open.
func (s *turnstile) openLocked(user string) (n int) {
	for _, source := range s.sources[user] {
		if source.ReadyState() == sse.Open {
			n++
		}
	}
	return n
}

// enter notes a source, and whether it is one too many.
func (s *turnstile) enter(user string, source *sse.EventSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted++
	s.sources[user] = append(s.sources[user], source)
	if n := s.openLocked(user); n > s.most {
		s.failed = fmt.Sprintf("%s has %d streams, want %d at most", user, n, s.most)
	}
}

// ServeHTTP serves a stream in one of several ways, some of which are faulty.
func (s *turnstile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, name := &sse.AcceptOptions{Limits: []*sse.Limit{s.limit}}, user(r)
	serve := func() { sse.Serve(w, r, o, func(source *sse.EventSource) { s.enter(name, source) }) }
	switch rand.IntN(8) {
	case 0:
		sse.Serve(w, r, o, func(source *sse.EventSource) {
			s.enter(name, source)
			panic(http.ErrAbortHandler)
		})
	case 1, 2:
		source, err := sse.Accept(w, r, o)
		if err != nil {
			return
		}
		s.enter(name, source)
		select {
		case <-source.Done():
		case <-time.After(rand.N(time.Second)): // then it returns without Close
		}
	case 3:
		serve()
		if _, err := sse.Accept(w, r, o); !errors.Is(err, sse.ErrNotAccepted) && r.Context().Err() == nil {
			panic("accepted twice")
		}
	default:
		serve()
	}
}

// check compares the limit's count with the turnstile's.
func (s *turnstile) check(t *testing.T, when string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != "" {
		t.Fatal(s.failed)
	}
	for name := range s.sources {
		if got, want := s.limit.Len(name), s.openLocked(name); got != want {
			t.Fatalf("%s: the limit counts %d streams of %s, want %d", when, got, name, want)
		}
	}
}

// 1,000 clients of 100 users connect, leave and reconnect at random against a limit of
// five: there is never a sixth stream, and no slot is lost.
func TestLimitAtRandom(t *testing.T) {
	skipShort(t)
	overEach(t, func(t *testing.T, tr transport) {
		const clients, users, most = 1000, 100, 5
		for _, endOldest := range []bool{false, true} {
			s := &turnstile{
				limit:   &sse.Limit{Max: most, Key: user, EndOldest: endOldest},
				most:    most,
				sources: make(map[string][]*sse.EventSource),
			}
			site := tr.serve(t, s)
			end := time.Now().Add(5 * time.Second)
			var visiting sync.WaitGroup
			for i := range clients {
				visiting.Go(func() {
					for time.Now().Before(end) {
						st := site.openURL(fmt.Sprint("http://memory/", i%users))
						time.AfterFunc(rand.N(3*time.Second), st.close)
						for {
							if _, err := st.next(); err != nil {
								break
							}
						}
						time.Sleep(rand.N(time.Second)) // fake: before it reconnects
					}
				})
			}
			for time.Now().Before(end) {
				time.Sleep(100 * time.Millisecond) // fake
				s.check(t, "meanwhile")
			}
			visiting.Wait()
			time.Sleep(2 * time.Second) // fake: until torn responses have been noticed
			s.check(t, "at the end")
			for i := range users {
				wantLen(t, s.limit, fmt.Sprint(i), 0)
			}
			t.Logf("%d admitted, %d refused", s.admitted, s.limit.Refused())
			site.stop()
		}
	})
}
