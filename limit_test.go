package sse_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// user is the key of a request to /USER.
func user(r *http.Request) string { return r.URL.Path[1:] }

// mount returns a handler that accepts streams in one of the ways that there are.
func mount(way string, o *sse.AcceptOptions) http.Handler {
	switch way {
	case "Set":
		return &sse.Set{AcceptOptions: o}
	case "Hub":
		hub := &sse.Hub{NewSet: func(_ string, s *sse.Set) { s.AcceptOptions = o }}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hub.Set(user(r)).ServeHTTP(w, r) })
	case "Serve":
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, o, func(*sse.EventSource) {})
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if source, err := sse.Accept(w, r, o); err == nil {
			source.Wait()
		}
	})
}

// wantLen waits until everybody waits, and compares a limit's count.
func wantLen(t *testing.T, l *sse.Limit, key string, want int) {
	t.Helper()
	synctest.Wait()
	if got := l.Len(key); got != want {
		t.Fatalf("%d streams of %q, want %d", got, key, want)
	}
}

// wantRefused checks that a stream ends at once, and when its client is to reconnect.
func (st *stream) wantRefused(from, to time.Duration) {
	st.t.Helper()
	if st.response.StatusCode != http.StatusOK {
		st.t.Errorf("status %d ends browsers for good", st.response.StatusCode)
	}
	st.wantEnd()
	st.wantRetry(from, to)
}

// Beyond the limit a client is asked to reconnect, later each time, and gets in when
// there is room.
func TestLimit(t *testing.T) {
	for _, way := range []string{"Accept", "Serve", "Set", "Hub"} {
		t.Run(way, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				limit := &sse.Limit{Max: 2, Key: user}
				site := tr.serve(t, mount(way, &sse.AcceptOptions{Limits: []*sse.Limit{limit}}))
				first := site.openURL("http://memory/ann")
				site.openURL("http://memory/ann")
				wantLen(t, limit, "ann", 2)
				for _, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
					site.openURL("http://memory/ann").wantRefused(most/2, most)
				}
				site.openURL("http://memory/bob")
				site.openURL("http://memory/") // has no key
				wantLen(t, limit, "bob", 1)
				wantLen(t, limit, "", 0)
				first.close()
				wantLen(t, limit, "ann", 1)
				site.openURL("http://memory/ann")
				wantLen(t, limit, "ann", 2)
				if got := limit.Refused(); got != 5 {
					t.Errorf("%d were refused, want 5", got)
				}
			})
		})
	}
}

// The program's own reconnection time is the least.
func TestLimitRetry(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		limit := &sse.Limit{Max: 1}
		o := &sse.AcceptOptions{Limits: []*sse.Limit{limit}, Retry: 20 * time.Second}
		site := tr.serve(t, mount("Serve", o))
		site.open()
		site.open().wantRefused(20*time.Second, 25*time.Second)
		wantLen(t, limit, "", 1)
	})
}

// The program learns why, and what the client is sent can be an event.
func TestLimitError(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		limit := &sse.Limit{Max: 1, Event: sse.Event{Type: "full", Data: "close a tab"}}
		errs := make(chan error, 2)
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			source, err := sse.Accept(w, r, &sse.AcceptOptions{Limits: []*sse.Limit{limit}})
			errs <- err
			source.Wait()
		}))
		site.open()
		st := site.open()
		st.want("full|close a tab")
		st.wantRefused(time.Second/2, time.Second)
		if first, second := <-errs, <-errs; first != nil || !errors.Is(second, sse.ErrLimited) {
			t.Errorf("Accept: %v, then %v; want nil, then %v", first, second, sse.ErrLimited)
		}
	})
}

// The newest stream takes the place of the oldest, which gets what was dispatched before.
func TestLimitEndsOldest(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		limit := &sse.Limit{Max: 2, EndOldest: true, Event: sse.Event{Type: "elsewhere"}}
		handler, sources := connected(&sse.AcceptOptions{Limits: []*sse.Limit{limit}, Retry: 20 * time.Second})
		site := tr.serve(t, handler)
		var streams []*stream
		var list []*sse.EventSource
		for i := range 5 {
			streams = append(streams, site.open())
			list = append(list, <-sources)
			list[i].Dispatch("", fmt.Sprint(i))
			wantLen(t, limit, "", min(i+1, 2))
		}
		for i, st := range streams[:3] {
			st.want(fmt.Sprint("message|", i), "elsewhere|")
			st.wantEnd()
			st.wantRetry(20*time.Second, 24*time.Second)
			if err := list[i].Err(); !errors.Is(err, sse.ErrLimited) {
				t.Errorf("stream %d ended with %v, want %v", i, err, sse.ErrLimited)
			}
		}
		for i, source := range list[3:] {
			if got := source.ReadyState(); got != sse.Open {
				t.Errorf("stream %d is %v, want open", i+3, got)
			}
		}
	})
}

// A stream needs room in all limits, and is counted in all or in none. Whoever is refused
// by one does not end another's stream by the next.
func TestSeveralLimits(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		newest := &sse.Limit{Max: 1, EndOldest: true, Key: user}
		inAll := &sse.Limit{Max: 2}
		counted := new(sse.Limit)
		site := tr.serve(t, mount("Serve", &sse.AcceptOptions{Limits: []*sse.Limit{counted, newest, inAll}}))
		ann := site.openURL("http://memory/ann")
		site.openURL("http://memory/bob")
		for _, path := range []string{"ann", "cyd"} {
			site.openURL("http://memory/"+path).wantRefused(time.Second/2, 2*time.Second)
		}
		wantLen(t, newest, "ann", 1)
		wantLen(t, newest, "cyd", 0)
		wantLen(t, inAll, "", 2)
		wantLen(t, counted, "", 2)
		ann.close()
		synctest.Wait()
		site.openURL("http://memory/bob") // ends the other one, whose place in inAll is free then
		wantLen(t, newest, "bob", 1)
		wantLen(t, inAll, "", 1)
	})
}

// However a stream ends, or fails to begin, its place is free once.
func TestLimitIsFreed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions)
	}{
		{"Close", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) { must(sse.Accept(w, r, o)).Close() }},
		{"return", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) { must(sse.Accept(w, r, o)) }},
		{"panic", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			must(sse.Accept(w, r, o))
			panic(http.ErrAbortHandler)
		}},
		{"panic in Serve", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			sse.Serve(w, r, o, func(*sse.EventSource) { panic(http.ErrAbortHandler) })
		}},
		{"panic in Key", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			key := &sse.Limit{Max: 1, Key: func(*http.Request) string { panic(http.ErrAbortHandler) }}
			sse.Accept(w, r, &sse.AcceptOptions{Limits: append(o.Limits, key)})
		}},
		{"panic in Write", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			sse.Accept(broken{w}, r, o)
		}},
		{"twice", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			source := must(sse.Accept(w, r, o))
			if _, err := sse.Accept(w, r, o); !errors.Is(err, sse.ErrNotAccepted) {
				panic(err)
			}
			source.Close()
		}},
		{"Close twice", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			sse.Serve(w, r, o, func(source *sse.EventSource) {
				source.Close()
				source.Close()
			})
		}},
		{"expired", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			sse.Accept(w, r, &sse.AcceptOptions{Limits: o.Limits, Expires: time.Unix(1, 0)})
		}},
		{"HEAD", func(w http.ResponseWriter, r *http.Request, o *sse.AcceptOptions) {
			r.Method = http.MethodHead
			sse.Accept(w, r, o)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				limit := &sse.Limit{Max: 1}
				site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					tt.serve(w, r, &sse.AcceptOptions{Limits: []*sse.Limit{limit}})
				}))
				for range 3 {
					r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://memory/", nil)
					if response, err := site.client.Do(r); err == nil {
						response.Body.Close()
					}
					time.Sleep(time.Second) // fake: until a torn response has been noticed
					wantLen(t, limit, "", 0)
				}
				if got := limit.Refused(); got != 0 {
					t.Errorf("%d were refused, want 0", got)
				}
			})
		})
	}
}

// must returns a source, or aborts the handler.
func must(source *sse.EventSource, err error) *sse.EventSource {
	if err != nil {
		panic(err)
	}
	return source
}

// A broken writer panics.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { panic(http.ErrAbortHandler) }
func (broken) Flush()                    {}
