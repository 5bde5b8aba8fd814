package locks_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A recorder keeps the changes that a table has reported.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (t *recorder) changed(c locks.Change[int]) { t.add(line(c)) }

func (t *recorder) add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, text)
}

func (t *recorder) all() []string {
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines)
}

// Two processes report the same changes in the same order; the one that starts later
// knows which locks are held.
func TestTwoProcesses(t *testing.T) {
	bubbleOn(t, new(backplane.Memory), func(t *testing.T, s *site, _ *locks.Table[int]) {
		ctx := t.Context()
		var first, second recorder
		here := locks.Table[int]{Presence: s.tracker, Changed: first.changed}
		defer here.Close()
		ann, bob := s.open("ann"), s.open("bob")
		step := func(_ locks.Lock[int], err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
			synctest.Wait() // the other process has seen it
		}
		step(here.Take(ctx, ann.Session, 7))
		there := locks.Table[int]{Presence: s.elsewhere(t), Changed: second.changed}
		defer there.Close()
		if _, err := there.Take(ctx, bob.Session, 7); err == nil {
			t.Error("Take succeeded at two processes")
		}
		step(there.Queue(ctx, bob.Session, 7))
		step(here.Release(ctx, ann.Session, 7))
		step(there.Release(ctx, bob.Session, 7))
		step(here.Take(ctx, ann.Session, 7))
		step(there.Steal(ctx, bob.Session, 7, "why not"))
		step(here.Take(ctx, ann.Session, 8))
		s.tracker.Leave(bob.Session)
		want := []string{
			"7 taken: ann",
			"7 queued: ann, bob waits",
			"7 released: bob from ann",
			"7 released: nobody from bob",
			"7 taken: ann",
			"7 stolen: bob from ann, since why not",
			"8 taken: ann",
			"7 left: nobody from bob",
		}
		for i, got := range [][]string{first.all(), second.all()} {
			if !slices.Equal(got, want) {
				t.Errorf("process %d: got %q, want %q", i, got, want)
			}
		}
		time.Sleep(5 * time.Minute) // the records of free locks are gone
		for i, table := range []*locks.Table[int]{&here, &there} {
			if l, _ := table.Load(8); l.Holder != ann.Session || countHeld(table) != 1 {
				t.Errorf("process %d: got holder %v of 8, %d locks held; want %v, 1", i, l.Holder, countHeld(table), ann.Session)
			}
		}
		step(there.Release(ctx, ann.Session, 8))
		if n := countHeld(&here); n != 0 {
			t.Errorf("got %d locks held, want 0", n)
		}
	})
}

// A release that follows an edit is reported after the edit, even if the edit's event
// comes late.
func TestReleaseAfterEdit(t *testing.T) {
	memory := new(backplane.Memory)
	bubbleOn(t, memory, func(t *testing.T, s *site, _ *locks.Table[int]) {
		ctx := t.Context()
		here, there := sse.Hub{Log: memory}, sse.Hub{Log: slowLog{memory}}
		defer here.Close()
		defer there.Close()
		var seen recorder
		tables := []*locks.Table[int]{
			{Presence: s.tracker, Hub: &here},
			{Presence: s.elsewhere(t), Hub: &there, Changed: func(c locks.Change[int]) {
				seen.changed(c)
				seen.add("at " + there.Cursor().String())
			}},
		}
		for _, table := range tables {
			defer table.Close()
			table.Load(0) // begin
		}
		ann := s.open("ann")
		if _, err := tables[0].Take(ctx, ann.Session, 7); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := here.Set("cards").Dispatch("", "edited"); err != nil {
			t.Fatal(err)
		}
		if _, err := tables[0].Release(ctx, ann.Session, 7); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // fake
		want := []string{"7 taken: ann", "at 0.0", "7 released: nobody from ann", "at " + here.Cursor().String()}
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A slowLog delivers a second late.
type slowLog struct{ backplane.Log }

func (l slowLog) Follow(ctx context.Context, after backplane.Cursor, fn func([]backplane.Entry, bool) error) error {
	return l.Log.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
		if len(batch) > 0 {
			time.Sleep(time.Second) // fake
		}
		return fn(batch, live)
	})
}

// A lock whose holder this process has never heard of is released.
func TestUnseenHolder(t *testing.T) {
	store := new(backplane.Memory)
	bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
		there := newSite(t, store)
		defer there.server.Close()
		table := locks.Table[int]{Presence: there.tracker}
		ann := there.open("ann")
		if _, err := table.Take(t.Context(), ann.Session, 7); err != nil {
			t.Fatal(err)
		}
		table.Close() // its process is gone
		there.tracker.Leave(ann.Session)
		there.tracker.Close()
		here := locks.Table[int]{Presence: s.tracker}
		defer here.Close()
		here.Load(0)                // begin
		time.Sleep(5 * time.Second) // fake
		synctest.Wait()
		if l, held := here.Load(7); held {
			t.Errorf("still held by %v, want it free", l.Holder)
		}
	})
}

// A session that ends while it takes a lock does not keep it.
func TestLeavesMeanwhile(t *testing.T) {
	store := &hookedStore{Store: new(backplane.Memory)}
	bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
		ann := s.open("ann")
		table := locks.Table[int]{Presence: s.tracker}
		defer table.Close()
		leave := func() { s.tracker.Leave(ann.Session) }
		store.before.Store(&leave)
		if l, err := table.Take(t.Context(), ann.Session, 7); !errors.Is(err, locks.ErrAbsent) {
			t.Errorf("Take: got %v, %v, want ErrAbsent", l, err)
		}
		synctest.Wait()
		if l, held := table.Load(7); held {
			t.Errorf("held by %v, whose session has ended; want it free", l.Holder)
		}
	})
}

// The store keeps no records of locks that have been free for a while.
func TestRecordsGo(t *testing.T) {
	store := new(backplane.Memory)
	bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
		ann := s.open("ann")
		table := locks.Table[int]{Presence: s.tracker}
		defer table.Close()
		for key := range 10 {
			table.Take(t.Context(), ann.Session, key)
			table.Release(t.Context(), ann.Session, key)
		}
		time.Sleep(2 * time.Minute) // fake
		done := errors.New("done")
		err := store.Watch(t.Context(), "presence/with/lock/", func(batch []backplane.Record, _ bool) error {
			if len(batch) > 0 {
				t.Errorf("got %d records, %s among them; want none", len(batch), batch[0].Key)
			}
			return done
		})
		if !errors.Is(err, done) {
			t.Error(err)
		}
	})
}

// A hookedStore calls a function before the next change of a lock.
type hookedStore struct {
	backplane.Store
	before atomic.Pointer[func()]
}

func (h *hookedStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if strings.Contains(key, "/lock/") {
		if before := h.before.Swap(nil); before != nil {
			(*before)()
		}
	}
	return h.Store.Swap(ctx, key, old, value, ttl)
}

// A session that is back before its lock is released keeps it.
func TestBackInTime(t *testing.T) {
	tracker, sessions := present(t, 1)
	ann := sessions[0]
	var table locks.Table[int]
	tracker.OnLeave(func(presence.Session) { // called before the table's own
		source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { source.Close() })
		if err := tracker.Connect(source, ann); err != nil {
			t.Error(err)
		}
	})
	table.Presence = tracker
	defer table.Close()
	l, err := table.Take(t.Context(), ann, 7)
	if err != nil {
		t.Fatal(err)
	}
	tracker.Leave(ann)
	if err := table.Check(t.Context(), ann, 7, l.Fence); err != nil {
		t.Error(err)
	}
}
