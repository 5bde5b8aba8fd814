package ssetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/ssetest"
)

// Open and Reconnect wait for a handler that responds with its first event, however
// late.
func TestOpenLateResponse(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(3 * time.Hour):
			case <-r.Context().Done():
			}
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: late\n\n")
		}))
		defer server.Close()
		start := time.Now()
		st := server.Open(t, "/")
		wantNext(t, st, "late")
		st.Reconnect()
		wantNext(t, st, "late")
		if d := time.Since(start); d != 6*time.Hour {
			t.Errorf("after %v, want 6h", d)
		}
	})
}

// A handler that does not respond fails the test before the test's deadline, or when
// the request's context ends or the Timeout of Reconnect is over.
func TestOpenNoResponse(t *testing.T) {
	type deadline = func() (time.Time, bool)
	in := func(d time.Duration) deadline { return func() (time.Time, bool) { return time.Now().Add(d), true } }
	hurry := errors.New("hurry")
	open := func(t testing.TB, s *ssetest.Server) { s.Open(t, "/late") }
	do := func(t testing.TB, s *ssetest.Server) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, hurry)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", "/late", nil)
		if err != nil {
			t.Fatalf("%v", err)
		}
		s.Do(t, r)
	}
	reconnect := func(timeout time.Duration) func(t testing.TB, s *ssetest.Server) {
		return func(t testing.TB, s *ssetest.Server) {
			st := s.Open(t, "/once")
			st.Timeout = timeout
			st.Reconnect()
		}
	}
	for _, tt := range []struct {
		name     string
		deadline deadline // nil for a bubble's, which panics
		test     func(t testing.TB, s *ssetest.Server)
		want     string
		took     time.Duration
	}{
		{"fake time", nil, open, "GET /late: no response within 24h0m0s; ", 24 * time.Hour},
		{"test's deadline", in(100 * time.Second), open, "GET /late: no response within 1m30s; ", 90 * time.Second},
		{"no deadline", func() (time.Time, bool) { return time.Time{}, false }, open, "GET /late: no response within 10m0s; ", 10 * time.Minute},
		{"request's deadline", nil, do, "GET /late: hurry", time.Hour},
		{"request's later deadline", in(100 * time.Second), do, "GET /late: no response within 1m30s; ", 90 * time.Second},
		{"reconnect", in(100 * time.Second), reconnect(0), "GET /once: no response within 1m30s; ", 90 * time.Second},
		{"Timeout", in(100 * time.Second), reconnect(time.Second), "GET /once: no response within 1s; ", time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				once := false
				server := ssetest.NewMemoryServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/once" && !once {
						once = true
						w.Header().Set("Content-Type", "text/event-stream")
						return
					}
					<-r.Context().Done()
				}))
				defer server.Close()
				if tt.deadline == nil {
					tt.deadline = t.Deadline
				}
				start := time.Now()
				if got := failuresBefore(tt.deadline, func(t testing.TB) { tt.test(t, server) }); !strings.HasPrefix(got, "ssetest: "+tt.want) {
					t.Errorf("failed with\n%s\nwant\nssetest: %s", got, tt.want)
				}
				if d := time.Since(start).Truncate(time.Millisecond); d != tt.took {
					t.Errorf("after %v, want %v", d, tt.took)
				}
			})
		})
	}
}
