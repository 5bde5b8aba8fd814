package locks_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
)

// A lock that is released, or stolen, at a process that has not got an edit yet is not
// reported as such before the edit, at any process.
func TestReleaseBehindEdit(t *testing.T) {
	memory := new(backplane.Memory)
	bubbleOn(t, memory, func(t *testing.T, s *site, _ *locks.Table[int]) {
		ctx := t.Context()
		hubs := []*sse.Hub{{Log: memory}, {Log: slowLog{memory}}, {Log: slowLog{memory}}}
		var edit atomic.Uint64 // its place in the log
		var tables []*locks.Table[int]
		for i, hub := range hubs {
			defer hub.Close()
			table := &locks.Table[int]{Presence: s.elsewhere(t), Hub: hub, Changed: func(c locks.Change[int]) {
				if at := hub.Cursor().Seq; c.From != nobody && at < edit.Load() {
					t.Errorf("process %d reports %q at %d, before the edit at %d", i, line(c), at, edit.Load())
				}
			}}
			defer table.Close()
			awaitReady(t, table)
			tables = append(tables, table)
		}
		ann, bob := s.open("ann"), s.open("bob")
		save := func(n int) {
			if _, err := hubs[0].Set("cards").Dispatch("", fmt.Sprint("edit ", n)); err != nil {
				t.Fatal(err)
			}
			edit.Store(hubs[0].Cursor().Seq)
		}
		if _, err := tables[0].Take(ctx, ann.Session, 7); err != nil {
			t.Fatal(err)
		}
		save(1)
		if _, err := tables[1].Steal(ctx, bob.Session, 7, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // fake
		save(2)
		if _, err := tables[2].Release(ctx, bob.Session, 7); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // fake
		for i, table := range tables {
			if l, held := table.Load(7); held {
				t.Errorf("process %d: got holder %v, want none", i, l.Holder)
			}
		}
	})
}

// An awayLog takes no entries while it is away.
type awayLog struct {
	backplane.Log

	away atomic.Bool
}

func (l *awayLog) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if l.away.Load() {
		<-ctx.Done()
		return backplane.Cursor{}, context.Cause(ctx)
	}
	return l.Log.Append(ctx, id, data)
}

// A hub's log that does not answer holds a release up for a second.
func TestReleaseWithoutLog(t *testing.T) {
	memory := new(backplane.Memory)
	bubbleOn(t, memory, func(t *testing.T, s *site, _ *locks.Table[int]) {
		log := &awayLog{Log: memory}
		hub := sse.Hub{Log: log}
		defer hub.Close()
		table := locks.Table[int]{Presence: s.tracker, Hub: &hub}
		defer table.Close()
		ann := s.open("ann")
		if _, err := table.Take(t.Context(), ann.Session, 7); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		log.away.Store(true)
		began := time.Now()
		if _, err := table.Release(t.Context(), ann.Session, 7); err != nil || time.Since(began) > time.Second {
			t.Errorf("Release: got %v after %v, want nil after 1s", err, time.Since(began))
		}
	})
}
