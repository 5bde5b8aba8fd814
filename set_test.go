package sse_test

import (
	"errors"
	"fmt"
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

func TestSetMembership(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		var group sse.Set
		var all []*sse.EventSource
		for range 5 {
			site.open()
			all = append(all, <-sources)
		}
		for _, s := range all {
			got := []bool{group.Has(s), group.Delete(s), group.Add(s), group.Add(s), group.Has(s)}
			if want := []bool{false, false, true, false, true}; !slices.Equal(got, want) {
				t.Errorf("Has, Delete, Add, Add, Has: got %v, want %v", got, want)
			}
		}
		if n, err := group.Dispatch("", "x"); n != 5 || err != nil || group.Len() != 5 {
			t.Errorf("Dispatch: %d, %v; Len %d", n, err, group.Len())
		}
		seen := 0
		for s := range group.All() { // deleting and closing in the loop
			switch seen++; seen {
			case 1:
				group.Delete(s)
				group.Add(s)
			case 2:
				s.Close()
			case 3:
				for other := range group.All() {
					if other != s {
						group.Delete(other)
					}
				}
			}
		}
		if seen != 3 || group.Len() != 1 {
			t.Errorf("saw %d members, %d are left", seen, group.Len())
		}
		group.Clear()
		if n, _ := group.Dispatch("", "y"); n != 0 || group.Len() != 0 {
			t.Errorf("after Clear: %d members", n)
		}
		open := 0
		for _, s := range all {
			if group.Add(s) {
				open++
			}
		}
		if open != 4 {
			t.Errorf("%d sources are open, want 4", open)
		}
		group.CloseAll()
		for _, s := range all {
			if err := s.Wait(); !errors.Is(err, sse.ErrClosed) || group.Add(s) {
				t.Errorf("after CloseAll: %v", err)
			}
		}
	})
}

// What was dispatched before Delete arrives, what comes after does not.
func TestDeleteKeepsWhatWaits(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		var one, two sse.Set
		one.Add(source)
		two.Add(source)
		big := strings.Repeat("x", 1<<20)
		one.Dispatch("", big)
		synctest.Wait() // it is being written
		one.Dispatch("", "1")
		two.Dispatch("", "2")
		one.Dispatch("", "3")
		one.Delete(source)
		one.Dispatch("", "not for it")
		two.Dispatch("", "4")
		st.want("message|"+big, "message|1", "message|2", "message|3", "message|4")
		source.Close()
		st.wantEnd()
	})
}

// What was dispatched just before Delete arrives at once, and not with what is
// sent next.
func TestDeleteSendsWhatWaits(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		var group sse.Set
		for i := range 200 {
			group.Add(source)
			group.Dispatch("", strconv.Itoa(i))
			group.Delete(source)
			start := time.Now()
			st.want("message|" + strconv.Itoa(i))
			if d := time.Since(start); d > 0 {
				t.Fatalf("event %d after %v", i, d)
			}
		}
	})
}

// Law 3: one order for all, and what one goroutine sends arrives in its order,
// directly and through sets.
func TestOrder(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		const members, dispatchers, events = 8, 4, 300
		handler, sources := connected(nil)
		site := tr.listen(t, handler)
		var hub sse.Hub
		var own sse.Set // another log
		var streams []*stream
		var all []*sse.EventSource
		for range members {
			streams = append(streams, site.open())
			s := <-sources
			all = append(all, s)
			hub.Add(s, "a", "b")
			own.Add(s)
		}
		var wg sync.WaitGroup
		for d := range dispatchers {
			wg.Go(func() {
				for i := range events {
					data := fmt.Sprintf("%d %d", d, i)
					switch rand.IntN(4) {
					case 0:
						hub.Set("a").Dispatch("hub", data)
					case 1:
						hub.Set("b").Dispatch("hub", data)
					case 2:
						own.Dispatch("own", data)
					default:
						for _, s := range all {
							s.Dispatch("direct", data)
						}
					}
				}
			})
		}
		orders := make([]map[string][]string, members)
		for i, st := range streams {
			wg.Go(func() {
				orders[i] = make(map[string][]string)
				var next [dispatchers]int
				for range dispatchers * events {
					e, err := st.next()
					if err != nil {
						t.Error(err)
						return
					}
					orders[i][e.typ] = append(orders[i][e.typ], e.data)
					var d, n int
					fmt.Sscan(e.data, &d, &n)
					if n != next[d] {
						t.Errorf("member %d: event %d of dispatcher %d when %d was due", i, n, d, next[d])
						return
					}
					next[d]++
				}
			})
		}
		wg.Wait()
		for i := range orders {
			for _, log := range []string{"hub", "own"} {
				if !slices.Equal(orders[i][log], orders[0][log]) {
					t.Errorf("members 0 and %d see different orders of %s", i, log)
				}
			}
		}
		own.CloseAll()
	})
}
