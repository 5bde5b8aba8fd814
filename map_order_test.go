package sse_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A member that reads nothing is closed once its backlog is full. Nobody waits
// for it: the others get everything, at once.
func TestMapStalledMember(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 100_000, WriteTimeout: time.Hour})
		site := tr.serve(t, handler)
		var users sse.Map[string]
		site.open()
		stalled := <-sources
		users.Store(stalled, "stalled")
		const events = 100
		pad := strings.Repeat(".", 10_000)
		var readers sync.WaitGroup
		for i := range 3 {
			st := site.open()
			name := strconv.Itoa(i)
			users.Store(<-sources, name)
			readers.Go(func() {
				for i := range events {
					if e, err := st.next(); err != nil || e.data != fmt.Sprint(name, " ", i, pad) {
						t.Errorf("got %.10q, error %v; want %s %d", e.data, err, name, i)
						return
					}
				}
			})
		}
		start := time.Now()
		sent := 0
		for i := range events {
			n, err := users.DispatchFunc(func(_ *sse.EventSource, name string) (sse.Event, bool) {
				return sse.Event{Data: fmt.Sprint(name, " ", i, pad)}, true
			})
			if err != nil || n != 3 && n != 4 || n == 4 && stalled.ReadyState() != sse.Open {
				t.Errorf("DispatchFunc: %d, %v", n, err)
			}
			sent += n
			synctest.Wait() // the others take it
		}
		readers.Wait()
		if d := time.Since(start); d > 3*time.Second { // which the other tests' load may cost
			t.Errorf("it took %v", d)
		}
		// The socket's buffer and one write are full, then up to eight backlogs.
		if n := sent - 3*events; n < 10 || n > 120 {
			t.Errorf("the stalled one took %d events of %d", n, len(pad))
		}
		if err := stalled.Wait(); !errors.Is(err, sse.ErrSlow) || users.Len() != 3 {
			t.Errorf("ended with %v, %d members", err, users.Len())
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("its end took %v", d)
		}
	})
}

// What a goroutine sends in whatever way arrives in its order, while others do
// the same, and store and delete.
func TestMapOrder(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		const members, dispatchers, events = 6, 4, 250
		handler, sources := connected(nil)
		site := tr.listen(t, handler)
		var users sse.Map[int]
		var group sse.Set
		var all []*sse.EventSource
		got := make([][]message, members)
		var reading, sending sync.WaitGroup
		for i := range members {
			st := site.open()
			s := <-sources
			all = append(all, s)
			users.Store(s, i)
			group.Add(s)
			reading.Go(func() {
				for e, err := st.next(); err == nil; e, err = st.next() {
					got[i] = append(got[i], e)
				}
			})
		}
		for d := range dispatchers {
			sending.Go(func() {
				typ := strconv.Itoa(d)
				for i := range events {
					data := strconv.Itoa(i)
					switch rand.IntN(4) {
					case 0:
						users.Dispatch(typ, data)
					case 1:
						users.DispatchFunc(func(_ *sse.EventSource, viewer int) (sse.Event, bool) {
							return sse.Event{Type: typ, Data: data}, viewer >= 0
						})
					case 2:
						group.Dispatch(typ, data)
					default:
						for _, s := range all {
							s.Dispatch(typ, data)
						}
					}
					users.Store(all[i%members], i)
				}
			})
		}
		sending.Wait()
		users.CloseAll()
		reading.Wait()
		for i := range members {
			next := make(map[string]int)
			for _, e := range got[i] {
				if e.data != strconv.Itoa(next[e.typ]) {
					t.Fatalf("member %d: event %s of dispatcher %s when %d was due", i, e.data, e.typ, next[e.typ])
				}
				next[e.typ]++
			}
			if n := slices.Sorted(maps.Values(next)); len(n) != dispatchers || n[0] != events {
				t.Errorf("member %d: got %v of %d events each", i, n, events)
			}
		}
	})
}

// A burst of views is paced as one of events is; see TestBurst.
func TestMapBurst(t *testing.T) {
	skipShort(t)
	handler, sources := connected(&sse.AcceptOptions{Backlog: 256 << 10})
	site := transports[0].listen(t, handler, smallBuffers)
	const clients, events = 20, 3000
	pad := strings.Repeat(".", 1000)
	var users sse.Map[int]
	var wg sync.WaitGroup
	for c := range clients {
		st := site.open()
		users.Store(<-sources, c)
		wg.Go(func() {
			for i := range events {
				if e, err := st.next(); err != nil || e.data != fmt.Sprint(c, i, pad) {
					t.Errorf("client %d got %.10q, error %v; want %d", c, e.data, err, i)
					return
				}
			}
		})
	}
	for i := range events {
		users.DispatchFunc(func(_ *sse.EventSource, c int) (sse.Event, bool) {
			return sse.Event{Data: fmt.Sprint(c, i, pad)}, true
		})
	}
	wg.Wait()
}
