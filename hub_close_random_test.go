package sse_test

import (
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// Clients come to three processes at random, which hear of everything at random times.
// Each close ends those that came before it in the log's order, and nobody else: no
// stream has the events on both sides of a close, and none ends elsewhere.
func TestCloseAllAtRandom(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		const clients, events = 20, 150
		log := new(backplane.Memory)
		list := nodes(t, tr, 3, func(int) *sse.Hub {
			return &sse.Hub{Log: &faulty{Log: log, batch: func([]backplane.Entry) {
				time.Sleep(rand.N(30 * time.Millisecond)) // fake
			}}}
		})
		set := func() *sse.Set { return list[rand.IntN(3)].hub.Set("ann") }
		set().Dispatch("", "-1") // so that each newcomer is sent an id
		closed := make(map[int]bool)
		var mu sync.Mutex
		var visiting sync.WaitGroup
		visits := 0
		for range clients {
			visiting.Go(func() {
				for last := -1; last < events; {
					st := list[rand.IntN(3)].openURL(at("ann"))
					first, ended := true, false
					for !ended && last < events {
						e, err := st.next()
						n, _ := strconv.Atoi(e.data)
						mu.Lock()
						switch {
						case err == io.EOF || e.typ == "logout":
							if ended = true; err == nil && !first && !closed[last] {
								t.Errorf("a stream ends after event %d, where nobody was closed", last)
							}
						case err != nil:
							t.Error(err)
							ended = true
						case e.typ == "message":
							if !first && (n != last+1 || closed[last]) {
								t.Errorf("event %d comes after %d, closed there: %v", n, last, closed[last])
							}
							first, last = false, n
						}
						mu.Unlock()
					}
					mu.Lock()
					visits++
					mu.Unlock()
					st.close()
					time.Sleep(rand.N(20 * time.Millisecond)) // fake
				}
			})
		}
		time.Sleep(time.Second) // fake
		for i := range events + 1 {
			set().Dispatch("", strconv.Itoa(i))
			if i < events && rand.IntN(5) == 0 {
				mu.Lock()
				closed[i] = true
				mu.Unlock()
				if err := set().CloseAllWith(t.Context(), logout); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(rand.N(40 * time.Millisecond)) // fake
		}
		for range 20 { // for those that were away
			time.Sleep(50 * time.Millisecond) // fake
			set().Dispatch("", strconv.Itoa(events))
		}
		visiting.Wait()
		t.Logf("%d visits, %d closes", visits, len(closed))
	})
}
