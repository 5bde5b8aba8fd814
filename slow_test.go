package sse_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// A burst that is larger than the backlog does not close a client that reads:
// it is the machine that has to catch up, and the program waits for it.
func TestBurst(t *testing.T) {
	skipShort(t)
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
