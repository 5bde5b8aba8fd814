package sse_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A stalled member, a set's policy, and the others: they get everything at
// once, and no dispatch waits for it.
func TestSlowPolicies(t *testing.T) {
	const events, keys = 2000, 10
	pad := strings.Repeat(".", 1000)
	for _, tt := range []struct {
		name   string
		policy sse.SlowPolicy
	}{{"CloseSlow", sse.CloseSlow}, {"SkipSlow", sse.SkipSlow}, {"LatestPerKey", sse.LatestPerKey}} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				handler, sources := connected(&sse.AcceptOptions{Backlog: 100_000, WriteTimeout: time.Hour})
				site := tr.serve(t, handler)
				group := sse.Set{Slow: tt.policy}
				stalled := site.open()
				slow := <-sources
				group.Add(slow)
				var readers sync.WaitGroup
				for range 3 {
					st := site.open()
					group.Add(<-sources)
					readers.Go(func() {
						for i := 0; i < events; i++ {
							e, err := st.next()
							if n, _ := strconv.Atoi(strings.TrimRight(e.data, ".")); tt.policy == sse.LatestPerKey && n < events && n > i {
								i = n // a newer one took its place
							} else if err != nil || n != i {
								t.Errorf("got event %.10q, error %v; want %d", e.data, err, i)
								return
							}
						}
					})
				}
				start := time.Now()
				for i := range events {
					if _, err := group.Dispatch("key"+strconv.Itoa(i%keys), strconv.Itoa(i)+pad); err != nil {
						t.Fatal(err)
					}
					if i%10 == 0 {
						synctest.Wait() // as fast as memory goes, but not faster
					}
				}
				readers.Wait()
				if d := time.Since(start); d > 3*time.Second { // the load of the other tests counts for fake time, too
					t.Errorf("the others had to wait %v", d)
				}
				if tt.policy == sse.CloseSlow {
					if err := slow.Wait(); !errors.Is(err, sse.ErrSlow) || group.Len() != 3 {
						t.Errorf("ended with %v, %d members", err, group.Len())
					}
					if d := time.Since(start); d > time.Minute {
						t.Errorf("it ended after %v, by its write timeout", d)
					}
					return
				}
				// It comes back to life: it gets whole events, in order, and the newest.
				var got []int
				last := make(map[string]int)
				for {
					e, err := stalled.next()
					if err != nil {
						t.Fatal(err)
					}
					n, err := strconv.Atoi(strings.TrimRight(e.data, "."))
					if err != nil || e.typ != "key"+strconv.Itoa(n%keys) || len(e.data) != len(strconv.Itoa(n))+len(pad) {
						t.Fatalf("got half an event: %q", e)
					}
					got = append(got, n)
					last[e.typ] = n
					if n == events-1 {
						break
					}
				}
				if !slices.IsSorted(got) || len(got) > events/2 {
					t.Errorf("got %d events, sorted: %v", len(got), slices.IsSorted(got))
				}
				switch tt.policy {
				case sse.SkipSlow:
					if n := group.Skipped(); int(n)+len(got) != events {
						t.Errorf("got %d and skipped %d of %d", len(got), n, events)
					}
				case sse.LatestPerKey:
					for i := events - keys; i < events; i++ {
						if key := "key" + strconv.Itoa(i%keys); last[key] != i {
							t.Errorf("%s: last %d, want %d", key, last[key], i)
						}
					}
				}
				if slow.ReadyState() != sse.Open {
					t.Errorf("it is closed: %v", slow.Err())
				}
			})
		})
	}
}

// LatestPerKey closes a member all the same if one event per key is too much.
func TestLatestPerKeyHasABound(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 100_000, WriteTimeout: time.Hour})
		site := tr.serve(t, handler)
		group := sse.Set{Slow: sse.LatestPerKey, Key: func(e sse.Event) string { return e.Data[:4] }}
		site.open()
		source := <-sources
		group.Add(source)
		for i := range 2000 {
			group.Dispatch("", fmt.Sprintf("%04d%1000d", i, 0))
		}
		if err := source.Wait(); !errors.Is(err, sse.ErrSlow) {
			t.Errorf("ended with %v", err)
		}
	})
}

// What a client resumes with does not count against its backlog.
func TestReplayIsFree(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{HistoryBytes: -1, AcceptOptions: &sse.AcceptOptions{Backlog: 10 << 10, WriteTimeout: -1}}
		site := tr.serve(t, &group)
		st := site.open()
		synctest.Wait()
		data := strings.Repeat("x", 100<<10)
		group.Dispatch("", "first")
		st.want("message|first")
		id := st.lastID
		st.close()
		synctest.Wait()
		for range 20 {
			group.Dispatch("", data)
		}
		back := site.open("Last-Event-ID", id)
		synctest.Wait()
		time.Sleep(time.Minute) // fake; the client takes nothing
		group.Dispatch("", "next")
		group.Dispatch("", "last")
		synctest.Wait()
		for range 20 {
			back.want("message|" + data)
		}
		back.want("message|next", "message|last")
	})
}

// A client that has taken nothing for some time is granted one backlog, and one that
// may still read four.
func TestBacklogOfStalled(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stalled time.Duration
		want    int // members
	}{{"reading", time.Second, 1}, {"stalled", 10 * time.Second, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				group := sse.Set{AcceptOptions: &sse.AcceptOptions{Backlog: 100 << 10, WriteTimeout: -1}}
				tr.serve(t, &group).open()
				synctest.Wait()
				group.Dispatch("", strings.Repeat("x", 1<<20))
				time.Sleep(tt.stalled) // fake
				for range 4 {
					group.Dispatch("", strings.Repeat("x", 60<<10))
				}
				synctest.Wait()
				if got := group.Len(); got != tt.want {
					t.Errorf("got %d members, want %d", got, tt.want)
				}
			})
		})
	}
}

// With LatestPerKey the newest event of a key arrives, however many have come since the
// backlog was last full.
func TestLatestPerKeyIsSent(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for n := 1; n <= 10; n++ {
			group := sse.Set{Slow: sse.LatestPerKey, AcceptOptions: &sse.AcceptOptions{Backlog: 10 << 10, WriteTimeout: -1}}
			site := tr.serve(t, &group)
			st := site.open()
			synctest.Wait()
			large := strings.Repeat("x", 1<<20)
			group.Dispatch("large", large) // the client reads nothing yet
			time.Sleep(time.Minute)        // fake
			pad := strings.Repeat(".", 4<<10)
			for i := range n {
				group.Dispatch("value", strconv.Itoa(i)+pad)
				synctest.Wait()
			}
			st.want("large|"+large, "value|"+strconv.Itoa(n-1)+pad)
			st.close()
			site.stop()
		}
	})
}

// What is left by LatestPerKey keeps its place behind what was dispatched before to the
// source alone.
func TestLatestPerKeyOrder(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 200 << 10, WriteTimeout: -1})
		st := tr.serve(t, handler).open()
		source := <-sources
		group := sse.Set{Slow: sse.LatestPerKey}
		group.Add(source)
		large, data := strings.Repeat("x", 1<<20), strings.Repeat("y", 100<<10)
		go source.Dispatch("large", large) // the client reads nothing yet
		time.Sleep(time.Minute)            // fake
		source.Dispatch("own", data)
		source.Dispatch("own", "")
		for i := range 5 {
			group.Dispatch("value", strconv.Itoa(i)+data)
		}
		synctest.Wait()
		st.want("large|"+large, "own|"+data, "own|", "value|4"+data)
	})
}

// A snapshot that waits does not hide what waits for a member behind it.
func TestMemberBehindSnapshot(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 100 << 10, WriteTimeout: -1})
		tr.serve(t, handler).open()
		source := <-sources
		large := strings.Repeat("x", 1<<20)
		go source.Dispatch("large", large) // the client reads nothing
		time.Sleep(time.Minute)            // fake
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return state("state", large) }}
		group.Add(source)
		for range 4 {
			group.Dispatch("", strings.Repeat("x", 60<<10))
		}
		synctest.Wait()
		if got := group.Len(); got != 0 {
			t.Errorf("got %d members, want 0", got)
		}
	})
}

// A snapshot that waits does not count against the backlog, and gives no room either.
func TestBacklogBehindSnapshot(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 10 << 10, WriteTimeout: -1})
		st := tr.serve(t, handler).open()
		source := <-sources
		large, small := strings.Repeat("x", 500<<10), strings.Repeat("y", 6<<10)
		go source.Dispatch("large", large) // the client reads nothing yet
		synctest.Wait()
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return state("state", large) }}
		group.Add(source)
		var sending sync.WaitGroup
		send := func(want int32) {
			t.Helper()
			var sent atomic.Int32
			for range 3 {
				sending.Go(func() {
					if err := source.Dispatch("small", small); err != nil {
						t.Error(err)
					}
					sent.Add(1)
				})
			}
			synctest.Wait()
			if got := sent.Load(); got != want {
				t.Errorf("%d events of 6 KiB were taken, want %d", got, want)
			}
		}
		send(1)
		st.want("large|"+large, "state|"+large, "small|"+small, "small|"+small, "small|"+small)
		sending.Wait()
		go source.Dispatch("large", large)
		synctest.Wait()
		send(2) // the first that waits does not count
		st.want("large|"+large, "small|"+small, "small|"+small, "small|"+small)
		sending.Wait()
	})
}

// A burst that is larger than the backlog does not close a client that reads:
// it is the machine that has to catch up, and the program waits for it.
func TestBurst(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 512 << 10})
		site := tr.listen(t, handler, smallBuffers)
		group := sse.Set{History: -1}
		const events = 3000
		clients := 20
		if tr.http2 {
			clients = 3 // they share a connection, on which Go serves one after the other
		}
		pad := strings.Repeat(".", 1000)
		var wg sync.WaitGroup
		for range clients {
			st := site.open()
			group.Add(<-sources)
			wg.Go(func() {
				for i := range events {
					if e, err := st.next(); err != nil || e.data != strconv.Itoa(i)+pad {
						t.Errorf("got %.10q, error %v; want %d", e.data, err, i)
						return
					}
				}
			})
		}
		for i := range events {
			group.Dispatch("", strconv.Itoa(i)+pad)
		}
		wg.Wait()
	})
}

// A stuck writer has no deadlines, and after the head takes nothing until it is
// released.
type stuck struct {
	http.ResponseWriter
	released chan bool
	writes   int
}

func (w *stuck) Flush() {}
func (w *stuck) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		<-w.released
	}
	return len(p), nil
}

// Whoever waits for room does so for the write timeout, even if the writer
// knows no deadline.
func TestBackpressureWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuck{ResponseWriter: httptest.NewRecorder(), released: make(chan bool)}
		source, err := sse.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), &sse.AcceptOptions{Backlog: 10, WriteTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		go source.Dispatch("", "being written")
		synctest.Wait()
		source.Dispatch("", "next, which does not count")
		start := time.Now()
		if err := source.Dispatch("", "too much"); !errors.Is(err, sse.ErrSlow) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(w.released)
		source.Close()
		if !errors.Is(source.Err(), sse.ErrSlow) {
			t.Errorf("ended with %v", source.Err())
		}
	})
}

// Of many who wait for room only those get in who fit together.
func TestBacklogIsForAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuck{ResponseWriter: httptest.NewRecorder(), released: make(chan bool)}
		source, err := sse.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), &sse.AcceptOptions{Backlog: 1000, WriteTimeout: -1})
		if err != nil {
			t.Fatal(err)
		}
		var taken atomic.Int64
		for range 64 {
			go func() {
				if source.Dispatch("", strings.Repeat("x", 900)) == nil {
					taken.Add(1)
				}
			}()
		}
		for round := range 10 {
			synctest.Wait()
			// The one that writes has not returned; each round the first in the queue
			// and one that fits beside it have.
			if n := taken.Load(); n > int64(2+3*round) {
				t.Fatalf("%d events taken in round %d", n, round)
			}
			w.released <- true
		}
		close(w.released)
		source.Close()
	})
}
