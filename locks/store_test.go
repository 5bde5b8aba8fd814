package locks_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
)

// Names survive the store, whatever their bytes.
func TestAnyName(t *testing.T) {
	bubbleOn(t, new(backplane.Memory), func(t *testing.T, s *site, _ *locks.Table[int]) {
		here, there := locks.Table[int]{Presence: s.tracker}, locks.Table[int]{Presence: s.elsewhere(t)}
		defer here.Close()
		defer there.Close()
		there.Load(7) // begin
		holder, waiting := s.open("\xff<>&\x00é"), s.open("\xfe")
		here.Take(t.Context(), holder.Session, 7)
		here.Queue(t.Context(), waiting.Session, 7)
		time.Sleep(time.Minute) // fake
		for i, table := range []*locks.Table[int]{&here, &there} {
			l, _ := table.Load(7)
			if l.Holder != holder.Session || len(l.Queue) != 1 || l.Queue[0] != waiting.Session {
				t.Errorf("table %d: got %+v, want holder %q, queue of %q", i, l, holder.User, waiting.User)
			}
		}
	})
}

// A fallibleStore interrupts its watches, and can keep them from beginning again.
type fallibleStore struct {
	backplane.Store
	interrupt chan struct{}
	resume    chan struct{}
}

func (f *fallibleStore) Watch(ctx context.Context, prefix string, fn func([]backplane.Record, bool) error) error {
	select {
	case <-f.resume:
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-f.interrupt:
			cancel()
		case <-ctx.Done():
		}
	}()
	return f.Store.Watch(ctx, prefix, fn)
}

// What changed while the watch of the store was interrupted is learned when it begins
// again, even if no record of it is left.
func TestWatchAgain(t *testing.T) {
	memory := new(backplane.Memory)
	store := &fallibleStore{Store: memory}
	bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
		store.interrupt, store.resume = make(chan struct{}), make(chan struct{}) // of the bubble
		ctx := t.Context()
		site := newSite(t, memory)
		defer site.tracker.Close()
		defer site.server.Close()
		var seen recorder
		here := locks.Table[int]{Presence: s.tracker, Changed: seen.changed}
		there := locks.Table[int]{Presence: site.tracker}
		defer here.Close()
		defer there.Close()
		ann := site.open("ann")
		if err := here.Check(ctx, ann.Session, 7, 1); !errors.Is(err, locks.ErrCutOff) {
			t.Errorf("before the store was read: Check returned %v, want %v", err, locks.ErrCutOff)
		}
		store.resume <- struct{}{}
		awaitReady(t, &here)
		there.Take(ctx, ann.Session, 7)
		there.Take(ctx, ann.Session, 8)
		synctest.Wait()
		store.interrupt <- struct{}{}
		synctest.Wait()
		there.Release(ctx, ann.Session, 7)
		there.Take(ctx, ann.Session, 9)
		time.Sleep(2 * time.Minute) // fake; the record of the free lock is gone
		store.resume <- struct{}{}
		time.Sleep(time.Second) // fake
		synctest.Wait()
		if _, held := here.Load(7); held || countHeld(&here) != 2 {
			t.Errorf("got held %v, %d locks; want it free, and 2", held, countHeld(&here))
		}
		got := strings.Join(seen.all(), "; ")
		if want := "7 taken: ann; 8 taken: ann; 9 taken: ann; 7 expired: nobody from ann"; got != want {
			t.Errorf("got changes %q, want %q", got, want)
		}
	})
}

// A slowStore takes a moment for each swap, and counts those of locks.
type slowStore struct {
	backplane.Store
	swaps atomic.Int64
}

func (s *slowStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if strings.Contains(key, "/lock/") {
		s.swaps.Add(1)
	}
	if len(value) > 64<<10 {
		return backplane.Record{}, backplane.ErrSize
	}
	time.Sleep(time.Millisecond) // fake
	return s.Store.Swap(ctx, key, old, value, ttl)
}

// Many sessions can queue for one lock at one time.
func TestLongQueue(t *testing.T) {
	for _, processes := range []int{1, 3} {
		store := &slowStore{Store: new(backplane.Memory)}
		bubbleOn(t, store, func(t *testing.T, _ *site, _ *locks.Table[int]) {
			const n = 300
			var all sync.WaitGroup
			begin := time.Now()
			var tables []*locks.Table[int]
			for range processes {
				s := newSite(t, store)
				defer s.tracker.Close()
				defer s.server.Close()
				table := &locks.Table[int]{Presence: s.tracker, MaxQueue: 1000}
				defer table.Close()
				tables = append(tables, table)
				for range n / processes {
					p := s.open("user")
					all.Go(func() {
						if _, err := table.Queue(t.Context(), p.Session, 7); err != nil {
							t.Error(err)
						}
					})
				}
			}
			all.Wait()
			took, swaps := time.Since(begin), store.swaps.Load()
			if took > 2*time.Second || swaps > 3*n {
				t.Errorf("%d processes: got %d swaps in %v, want at most %d in 2 s", processes, swaps, took, 3*n)
			}
			synctest.Wait()
			for i, table := range tables {
				if l, _ := table.Load(7); len(l.Queue) != n-1 {
					t.Errorf("table %d of %d: got a queue of %d, want %d", i, processes, len(l.Queue), n-1)
				}
			}
		})
	}
}

// A queue that is too long for a record is full.
func TestQueueTooLong(t *testing.T) {
	store := &slowStore{Store: new(backplane.Memory)}
	bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
		table := &locks.Table[int]{Presence: s.tracker, MaxQueue: 1000}
		defer table.Close()
		user := strings.Repeat("\xff", 255)
		var err error
		n := 0
		for ; err == nil && n < 200; n++ {
			_, err = table.Queue(t.Context(), s.open(user).Session, 7)
		}
		if l, _ := table.Load(7); !errors.Is(err, locks.ErrQueueFull) || len(l.Queue) != n-2 {
			t.Errorf("session %d: got error %v, a queue of %d; want %v, %d", n, err, len(l.Queue), locks.ErrQueueFull, n-2)
		}
	})
}

// A key that does not fit into a record's key is refused.
func TestLongNames(t *testing.T) {
	bubbleOn(t, new(backplane.Memory), func(t *testing.T, s *site, _ *locks.Table[int]) {
		table := locks.Table[string]{Presence: s.tracker, Name: strings.Repeat("n", 108)}
		defer table.Close()
		ann := s.open("ann")
		for _, tt := range []struct {
			size int // as JSON
			want error
		}{{384, nil}, {385, locks.ErrInvalidKey}} {
			if _, err := table.Take(t.Context(), ann.Session, strings.Repeat("x", tt.size-2)); !errors.Is(err, tt.want) {
				t.Errorf("%d bytes: got error %v, want %v", tt.size, err, tt.want)
			}
		}
		long := locks.Table[string]{Presence: s.tracker, Name: strings.Repeat("n", 109)}
		defer long.Close()
		if _, err := long.Take(t.Context(), ann.Session, strings.Repeat("x", 382)); !errors.Is(err, locks.ErrInvalidKey) {
			t.Errorf("a name of 109 bytes: got error %v, want %v", err, locks.ErrInvalidKey)
		}
	})
}

// What a method returns says when the lock expires.
func TestUntil(t *testing.T) {
	for _, store := range []backplane.Store{nil, new(backplane.Memory)} {
		bubbleOn(t, store, func(t *testing.T, s *site, table *locks.Table[int]) {
			table.MaxHold = time.Minute
			ctx, ann, bob := t.Context(), s.open("ann"), s.open("bob")
			for _, step := range []struct {
				name string
				do   func() (locks.Lock[int], error)
			}{
				{"Take", func() (locks.Lock[int], error) { return table.Take(ctx, ann.Session, 7) }},
				{"Take again", func() (locks.Lock[int], error) { return table.Take(ctx, ann.Session, 7) }},
				{"Queue", func() (locks.Lock[int], error) { return table.Queue(ctx, bob.Session, 7) }},
				{"Renew", func() (locks.Lock[int], error) { return table.Renew(ctx, ann.Session, 7) }},
				{"Release", func() (locks.Lock[int], error) { return table.Release(ctx, ann.Session, 7) }},
				{"Steal", func() (locks.Lock[int], error) { return table.Steal(ctx, ann.Session, 7, "") }},
			} {
				l, err := step.do()
				if want := time.Now().Add(time.Minute); err != nil || l.Until.Sub(want).Abs() > time.Second {
					t.Errorf("%s: got Until %v, error %v; want %v", step.name, l.Until, err, want)
				}
				if step.name == "Queue" {
					time.Sleep(10 * time.Second) // fake
				}
			}
		})
	}
}

// Old locks refer to positions of the hub's log at that time. If the log was lost, news of
// a new lock does not wait for them.
func TestLostLog(t *testing.T) {
	store := new(backplane.Memory)
	bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
		old := sse.Hub{Log: new(backplane.Memory)}
		defer old.Close()
		for range 100 {
			old.Set("cards").Dispatch("", "edited")
		}
		before := locks.Table[int]{Presence: s.tracker, Hub: &old}
		ann := s.open("ann")
		for key := range 20 {
			if _, err := before.Take(t.Context(), ann.Session, key); err != nil {
				t.Fatal(err)
			}
		}
		before.Close()

		hub := sse.Hub{Log: new(backplane.Memory)}
		defer hub.Close()
		told := make(chan int, 100)
		table := locks.Table[int]{Presence: s.tracker, Hub: &hub, Changed: func(c locks.Change[int]) { told <- c.Key }}
		defer table.Close()
		began := time.Now()
		if _, err := table.Take(t.Context(), ann.Session, 99); err != nil {
			t.Fatal(err)
		}
		for key := range told {
			if key == 99 {
				break
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the new lock was reported after %v", took)
		}
	})
}
