package sse_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// logout is the last event of a user's streams.
var logout = sse.Event{Type: "logout", Data: "bye"}

// CloseAll ends a set's members in all processes, after what was dispatched before, and
// nobody else's.
func TestCloseAllEverywhere(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 3, func(int) *sse.Hub { return &sse.Hub{Log: log} })
		var hers, others []*stream
		for _, n := range list {
			hers = append(hers, n.openURL(at("ann", "news")))
			others = append(others, n.openURL(at("bob", "news")))
		}
		synctest.Wait()
		list[0].hub.Set("ann").Dispatch("", "1")
		list[1].hub.Set("news").Dispatch("", "2")
		if err := list[2].hub.Set("ann").CloseAllWith(t.Context(), logout); err != nil {
			t.Fatal(err)
		}
		if got := list[2].hub.Set("ann").Len(); got != 0 {
			t.Errorf("%d members in this process when it has returned, want 0", got)
		}
		synctest.Wait()
		for i, n := range list {
			if got := [...]int{n.hub.Set("ann").Len(), n.hub.Set("bob").Len(), n.hub.Set("news").Len()}; got != [...]int{0, 1, 1} {
				t.Errorf("node %d has %v members, want [0 1 1]", i, got)
			}
		}
		list[0].hub.Set("news").Dispatch("", "3")
		for i := range list {
			hers[i].want("message|1", "message|2", "logout|bye")
			hers[i].wantEnd()
			others[i].want("message|2", "message|3")
		}
	})
}

// Without a last event the end is that of Close.
func TestCloseAllAlone(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 2, func(int) *sse.Hub { return &sse.Hub{Log: log} })
		st := list[0].openURL(at("ann"))
		synctest.Wait()
		if err := list[1].hub.Set("ann").CloseAll(); err != nil {
			t.Error(err)
		}
		st.wantEnd()
	})
}

// The last event is sent by a set without a log, too, and an invalid one closes nobody.
func TestCloseAllWith(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for _, hub := range []*sse.Hub{{}, {Log: new(backplane.Memory)}} {
			site := tr.serve(t, rooms(hub))
			st := site.openURL(at("a"))
			synctest.Wait()
			set := hub.Set("a")
			if err := set.CloseAllWith(t.Context(), sse.Event{Type: "a\nb"}); !errors.Is(err, sse.ErrInvalidEvent) || set.Len() != 1 {
				t.Errorf("CloseAllWith: %v, %d members; want %v, 1", err, set.Len(), sse.ErrInvalidEvent)
			}
			set.Dispatch("", "1")
			if err := set.CloseAllWith(t.Context(), logout); err != nil || set.Len() != 0 {
				t.Errorf("CloseAllWith: %v, %d members; want nil, 0", err, set.Len())
			}
			st.want("message|1", "logout|bye")
			st.wantEnd()
			hub.Close()
		}
	})
}

// Who comes after the close stays: with the id of an event before it, in a process
// that starts later and reads the old log, and while that is being read.
func TestCloseAllSparesLater(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		ready := make(chan bool)
		list := nodes(t, tr, 2, func(i int) *sse.Hub {
			if i == 0 {
				return &sse.Hub{Log: log}
			}
			return &sse.Hub{Log: &faulty{Log: log, follow: func(context.Context, backplane.Cursor) error { <-ready; return nil }}}
		})
		first := list[0].openURL(at("ann"))
		synctest.Wait()
		list[0].hub.Set("ann").Dispatch("", "1")
		first.want("message|1")
		list[0].hub.Set("ann").CloseAllWith(t.Context(), logout)
		first.want("logout|bye")
		first.wantEnd()
		again := list[0].openURL(at("ann"), "Last-Event-ID", first.lastID)
		early := list[1].openURL(at("ann"))
		time.Sleep(time.Second) // fake
		close(ready)
		synctest.Wait()
		list[1].hub.Set("ann").Dispatch("", "2")
		again.want("message|2")
		if e, err := early.next(); err != nil || e.typ != "last-event-id" {
			t.Errorf("got %+v, error %v; want an id", e, err)
		}
		early.want("message|2")
	})
}

// A close that comes with a gap, or after it, is not missed; one before it, that the log
// still has, ends nobody twice.
func TestCloseAllInGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &backplane.Memory{History: 5}
		lag := make(chan bool, 1)
		list := nodes(t, tr, 2, func(i int) *sse.Hub {
			if i == 0 {
				return &sse.Hub{Log: log}
			}
			return &sse.Hub{Log: &faulty{Log: log, batch: func([]backplane.Entry) {
				lag <- true
				<-lag
			}}}
		})
		hers, his := list[1].openURL(at("ann")), list[1].openURL(at("bob"))
		synctest.Wait()
		lag <- true
		for range 40 { // more than the log keeps
			list[0].hub.Set("bob").Dispatch("", "missed")
		}
		list[0].hub.Set("ann").CloseAllWith(t.Context(), logout)
		<-lag
		time.Sleep(5 * time.Second) // fake
		list[0].hub.Set("ann").Dispatch("", "hers")
		list[0].hub.Set("bob").Dispatch("", "his")
		for {
			e, err := his.next()
			if err != nil {
				t.Fatal("his stream has ended: ", err)
			}
			if e.data == "his" {
				break
			}
		}
		hers.want("logout|bye")
		hers.wantEnd()
	})
}

// While the log cannot be reached CloseAll waits, and is done as soon as it is back; or
// it fails, and nobody is closed.
func TestCloseAllWithoutBroker(t *testing.T) {
	for _, tt := range []struct{ away, took time.Duration }{{5 * time.Second, 5 * time.Second}, {time.Minute, 10 * time.Second}} {
		overEach(t, func(t *testing.T, tr transport) {
			log := new(backplane.Memory)
			back := time.Now().Add(tt.away)
			list := nodes(t, tr, 2, func(int) *sse.Hub {
				return &sse.Hub{Log: &faulty{Log: log, append: func(ctx context.Context, _ string) (bool, backplane.Cursor, error) {
					select {
					case <-time.After(time.Until(back)):
						return false, backplane.Cursor{}, nil
					case <-ctx.Done():
						return true, backplane.Cursor{}, ctx.Err()
					}
				}}}
			})
			st := list[0].openURL(at("ann"))
			synctest.Wait()
			begin := time.Now()
			err := list[1].hub.Set("ann").CloseAll()
			if took := time.Since(begin); took != tt.took || (err == nil) != (tt.took == tt.away) {
				t.Errorf("away for %v: CloseAll took %v, error %v; want %v", tt.away, took, err, tt.took)
			}
			synctest.Wait()
			want := 0
			if err != nil {
				want = 1
			}
			if got := list[0].hub.Set("ann").Len(); got != want {
				t.Errorf("%d members after %v, want %d", got, err, want)
			}
			if err == nil {
				st.wantEnd()
			}
		})
	}
}

func TestCloseAllAfterClose(t *testing.T) {
	hub := sse.Hub{Log: new(backplane.Memory)}
	hub.Close()
	if err := hub.Set("a").CloseAll(); !errors.Is(err, sse.ErrClosed) {
		t.Errorf("CloseAll: %v, want %v", err, sse.ErrClosed)
	}
}
