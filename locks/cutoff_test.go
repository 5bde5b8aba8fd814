package locks_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// connectTo makes a session present at a process.
func connectTo(t *testing.T, p *process, user string) presence.Session {
	t.Helper()
	s := presence.Session{User: user, Page: user}
	connectSession(t, p.tracker, s)
	return s
}

// connectSession makes a session present.
func connectSession(t *testing.T, tracker *presence.Tracker, s presence.Session) *sse.EventSource {
	t.Helper()
	source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), nil)
	if err == nil {
		err = tracker.Connect(source, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// A process that was cut off for longer than its lease refuses saves under a lock that is
// another's by now, from the first moment on when it is back: its lease is made again
// before news reaches it.
func TestCutOffAndBack(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			memory := new(backplane.Memory)
			here := newProcess(t, newLagStore(memory, seed, lag{writes: time.Millisecond, watches: 3 * time.Second}), nil)
			there := newProcess(t, newLagStore(memory, seed, lag{}), nil)
			defer there.close()
			defer here.close()
			ann, bob := connectTo(t, here, "ann"), connectTo(t, there, "bob")
			mine, err := here.table.Take(t.Context(), ann, 7)
			if err != nil {
				t.Fatal(err)
			}
			if err := here.table.Check(t.Context(), ann, 7, mine.Fence); err != nil && !errors.Is(err, locks.ErrCutOff) {
				t.Errorf("Check: %v", err)
			}
			mend := here.store.disconnect()
			cut := time.Now()
			var his locks.Lock[int]
			for his, err = there.table.Take(t.Context(), bob, 7); err != nil; his, err = there.table.Take(t.Context(), bob, 7) {
				if time.Since(cut) > lease+grace+2*time.Second {
					t.Fatalf("after %v: %v", time.Since(cut), err)
				}
				if err := here.table.Check(t.Context(), ann, 7, mine.Fence); err != nil && !errors.Is(err, locks.ErrCutOff) {
					t.Errorf("while cut off: %v", err)
				}
				time.Sleep(100 * time.Millisecond) // fake
			}
			if his.Fence <= mine.Fence {
				t.Errorf("got fence %d after %d", his.Fence, mine.Fence)
			}
			mend()
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				time.Sleep(time.Millisecond) // fake
				if err := here.table.Check(t.Context(), ann, 7, mine.Fence); err == nil {
					t.Fatalf("Check passed %v before the end, for fence %d; the lock has fence %d", time.Until(end), mine.Fence, his.Fence)
				}
			}
			if err := here.table.Check(t.Context(), ann, 7, mine.Fence); !errors.Is(err, locks.ErrNotHeld) {
				t.Errorf("Check: got %v, want %v", err, locks.ErrNotHeld)
			}
			if l, _ := here.table.Load(7); l.Holder != bob {
				t.Errorf("got holder %v, want %v", l.Holder, bob)
			}
		})
	}
}

// A process hears of a session before it hears of its lock, even if the writes of sessions
// take long.
func TestSessionBeforeLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := new(backplane.Memory)
		var there *process
		taken := 0
		here := newProcess(t, newLagStore(memory, 1, lag{sessions: 4 * time.Second}), nil)
		there = newProcess(t, newLagStore(memory, 2, lag{}), func(c locks.Change[int]) {
			if taken++; !there.tracker.Present(c.Holder) {
				t.Errorf("lock %d: its holder %v is not known", c.Key, c.Holder)
			}
		})
		for i := range 20 {
			s := connectTo(t, here, string(rune('a'+i)))
			if _, err := here.table.Take(t.Context(), s, i); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if taken != 20 {
			t.Errorf("got %d changes, want 20", taken)
		}
		here.close()
		there.close()
	})
}

// A process whose watch is stuck gives up its lease, so that others need not wait for its
// answers for ever.
func TestStuckWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := new(backplane.Memory)
		stuck := &stuckStore{Store: memory, stuck: make(chan struct{})}
		here := newProcess(t, newLagStore(stuck, 1, lag{}), nil)
		there := newProcess(t, newLagStore(memory, 2, lag{}), nil)
		defer there.close()
		defer here.close()
		time.Sleep(lease) // fake
		s := presence.Session{User: "ann", Page: "ann"}
		source := connectSession(t, there.tracker, s)
		if _, err := there.table.Take(t.Context(), s, 7); err != nil {
			t.Fatal(err)
		}
		close(stuck.stuck)
		source.Close()
		time.Sleep(8*lease + grace) // fake
		if _, held := there.table.Load(7); held || leased(here.tracker) {
			t.Errorf("got held %v, leased %v; want neither", held, leased(here.tracker))
		}
		if !leased(there.tracker) {
			t.Error("the other process has lost its lease as well")
		}
	})
}

// A stuckStore passes nothing on once it is stuck.
type stuckStore struct {
	backplane.Store
	stuck chan struct{}
}

func (s *stuckStore) Watch(ctx context.Context, prefix string, fn func([]backplane.Record, bool) error) error {
	return s.Store.Watch(ctx, prefix, func(batch []backplane.Record, live bool) error {
		select {
		case <-s.stuck:
			<-ctx.Done()
			return ctx.Err()
		default:
			return fn(batch, live)
		}
	})
}

// A process gets its lease back after the store has refused it for long, though its watch
// had nothing to pass on.
func TestLeaseRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &refusingStore{Store: new(backplane.Memory)}
		p := newProcess(t, newLagStore(store, 1, lag{}), nil)
		defer p.close()
		time.Sleep(lease) // fake
		store.refuses.Store(true)
		time.Sleep(20 * lease) // fake
		if leased(p.tracker) {
			t.Error("leased though the store has refused it")
		}
		store.refuses.Store(false)
		time.Sleep(lease) // fake
		if !leased(p.tracker) {
			t.Error("not leased again")
		}
	})
}

// A refusingStore can refuse all changes.
type refusingStore struct {
	backplane.Store
	refuses atomic.Bool
}

func (s *refusingStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if s.refuses.Load() {
		return backplane.Record{}, errors.New("read-only")
	}
	return s.Store.Swap(ctx, key, old, value, ttl)
}
