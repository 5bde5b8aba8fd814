package locks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// In real time, many goroutines take, check, steal and release few locks, in one process
// or in three. A fence that was overtaken does not pass Check once that was reported.
// Fences only grow, in results as in changes. A lock that Release refuses is not held. In
// the end all are free.
func TestStepsAreOne(t *testing.T) {
	for _, tt := range []struct {
		name   string
		store  backplane.Store
		tables int
	}{{"in memory", nil, 1}, {"in a store", new(backplane.Memory), 3}} {
		t.Run(tt.name, func(t *testing.T) {
			var tables []*locks.Table[int]
			var sessions []presence.Session
			told := make([]*fences, tt.tables)
			for i := range tt.tables {
				tracker, list := presentOn(t, tt.store, 16/tt.tables)
				told[i] = &fences{t: t, newest: make(map[int]uint64)}
				table := &locks.Table[int]{Presence: tracker, Changed: told[i].changed}
				defer table.Close()
				awaitReady(t, table)
				tables, sessions = append(tables, table), append(sessions, list...)
			}
			var all sync.WaitGroup
			for i, s := range sessions {
				at := i / (16 / tt.tables)
				all.Go(func() { contend(t, tables[at], told[at], s, uint64(i)) })
			}
			all.Wait()
			for i, table := range tables {
				awaitFree(t, fmt.Sprint("table ", i), table)
			}
		})
	}
}

// contend does 500 turns, in each of which it takes and releases a lock. A thief releases,
// too, so a holder whose lock was stolen is told so.
func contend(t *testing.T, table *locks.Table[int], told *fences, self presence.Session, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	last := make(map[int]uint64)
	for range 500 {
		key := random.IntN(4)
		take := table.Take
		if random.IntN(8) == 0 {
			take = stealing(table)
		}
		l, err := take(t.Context(), self, key)
		if err != nil {
			if !errors.Is(err, locks.ErrHeld) {
				t.Errorf("take: %v", err)
			}
			continue
		}
		if l.Holder != self || l.Fence <= last[key] {
			t.Errorf("got holder %v, fence %d after %d; want %v and a greater fence", l.Holder, l.Fence, last[key], self)
		}
		last[key] = l.Fence
		newest := told.load(key)
		if err := table.Check(t.Context(), self, key, l.Fence); err == nil && newest > l.Fence {
			t.Errorf("Check passed for fence %d, though %d was reported", l.Fence, newest)
		}
		if _, err := table.Release(t.Context(), self, key); errors.Is(err, locks.ErrNotHeld) {
			if now, _ := table.Load(key); now.Holder == self && now.Fence == l.Fence {
				t.Errorf("Release: %v, but the lock is held: %+v", err, now)
			}
		} else if err != nil {
			t.Errorf("Release: %v", err)
		}
	}
}

func stealing(table *locks.Table[int]) func(ctx context.Context, by presence.Session, key int) (locks.Lock[int], error) {
	return func(ctx context.Context, by presence.Session, key int) (locks.Lock[int], error) {
		return table.Steal(ctx, by, key, "")
	}
}

// fences are the newest fences that were reported.
type fences struct {
	t      *testing.T
	mu     sync.Mutex
	newest map[int]uint64
}

func (f *fences) changed(c locks.Change[int]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.Held() {
		return
	}
	if c.Fence < f.newest[c.Key] || c.Cause != locks.Queued && c.Fence == f.newest[c.Key] {
		f.t.Errorf("%s: got fence %d after %d", c.Cause, c.Fence, f.newest[c.Key])
	}
	f.newest[c.Key] = max(f.newest[c.Key], c.Fence)
}

func (f *fences) load(key int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest[key]
}

// awaitFree waits until a table knows that no lock is held.
func awaitFree(t *testing.T, name string, table *locks.Table[int]) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); countHeld(table) > 0; {
		if time.Now().After(end) {
			t.Fatalf("%s: got %d locks held, want 0", name, countHeld(table))
		}
		time.Sleep(time.Millisecond) // until the watch has passed the last release on
	}
}
