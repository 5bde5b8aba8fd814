package e2e

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A lateLog delivers late.
type lateLog struct{ backplane.Log }

func (l lateLog) Follow(ctx context.Context, after backplane.Cursor, fn func([]backplane.Entry, bool) error) error {
	return l.Log.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
		if len(batch) > 0 {
			time.Sleep(200 * time.Millisecond) // it is what the test is about
		}
		return fn(batch, live)
	})
}

// On real brokers, too, no process reports a lock as free before the edit that was saved
// under it, whichever process releases it.
func TestReleaseBehindEdit(t *testing.T) {
	onBrokers(t, func(t *testing.T, open func() (backplane.Log, backplane.Store)) {
		const rounds = 10
		var edit atomic.Uint64 // its place in the log
		reports := make(chan int, 10*rounds)
		var hubs []*sse.Hub
		var desks []*desk
		for i := range 3 {
			l, store := open()
			if i > 0 {
				l = lateLog{l}
			}
			hub := &sse.Hub{Log: l}
			t.Cleanup(func() { hub.Close() })
			d := openDesk(t, store, fmt.Sprint("user", i), time.Minute)
			d.table.Hub = hub
			d.table.Changed = func(c locks.Change[string]) {
				if at := hub.Cursor().Seq; !c.Held() && at < edit.Load() {
					t.Errorf("process %d reports that %s is free at %d, before the edit at %d", i, c.Key, at, edit.Load())
				}
				if !c.Held() {
					reports <- i
				}
			}
			d.take(t, fmt.Sprint("own", i)) // and so it is ready
			hubs, desks = append(hubs, hub), append(desks, d)
		}
		ann := presence.Session{User: "user0", Page: "user0"}
		for i := range rounds {
			desks[0].take(t, "card")
			if _, err := hubs[0].Set("cards").Dispatch("", fmt.Sprint("edit ", i)); err != nil {
				t.Fatal(err)
			}
			edit.Store(hubs[0].Cursor().Seq)
			if _, err := desks[1].table.Release(t.Context(), ann, "card"); err != nil {
				t.Fatal(err)
			}
			for range desks {
				select {
				case <-reports:
				case <-time.After(patience):
					t.Fatal("a process does not report the release")
				}
			}
		}
	})
}
