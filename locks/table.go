package locks

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// A Table holds the locks of things that are named by keys of type K: a card's
// number, a path, a struct of both. The zero value but for Presence is ready to
// use; the exported fields may be set before first use and not after. Its
// methods may be called from any goroutine.
type Table[K comparable] struct {
	// Presence tells which sessions are present. A lock is freed when its
	// holder is not any more. It must not be nil. With a Store, it needs one too.
	Presence *presence.Tracker

	// Set, ChangeEvent and SnapshotEvent send changes to pages. Each change is dispatched to
	// Set as the event that ChangeEvent makes of it, in the order in which they
	// happened; nothing is if one of the two is nil. SnapshotEvent makes an event of all
	// locks that are held, for pages that come to it anew, see
	// [Table.Snapshot].
	Set           *sse.Set
	ChangeEvent   func(Change[K]) sse.Event
	SnapshotEvent func([]Lock[K]) sse.Event

	// Changed, if not nil, is called with each change, in the order in which
	// they happened, one at a time, after its event was dispatched. It may
	// call the table.
	Changed func(Change[K])

	// MaxHold is how long a lock may be held. [Table.Renew] begins it anew. 0: as
	// long as the holder is present.
	MaxHold time.Duration

	// MaxQueue is how many sessions may wait for a lock. 0: 100.
	MaxQueue int

	// Store keeps the locks. Nil: the table's own [backplane.Memory], and the
	// locks are free when the process starts again. Tables of one store and name,
	// in several processes, are one table; see "Several processes" above.
	Store backplane.Store

	// Name tells the table's records from others in the same store. It and a key
	// must fit into a record's key.
	Name string

	// Hub, if not nil, is where the things that are locked are changed: a process
	// tells nobody that a lock is free before its members have got what was
	// dispatched to the hub before the lock was released, wherever that was.
	Hub *sse.Hub

	once    sync.Once
	store   backplane.Store
	prefix  string          // of all records' keys
	live    chan struct{}   // closed when the table knows what is in the store
	ctx     context.Context // done when the table is closed
	cancel  context.CancelFunc
	forget  func()         // ends Presence's calls
	running sync.WaitGroup // what the table does by itself

	mu      sync.Mutex
	closed  bool
	entries map[string]*entry[K]          // by the record's key
	parts   map[presence.Session][]string // the records that a session has a part in
	news    []news[K]                     // not told yet
	telling bool                          // somebody is telling them
}

// Take makes the session the lock's holder, if the lock is free, and returns the
// lock. A holder that takes it again gets it as it is.
//
// [ErrHeld] if another session holds it; the lock comes with the error.
// [ErrAbsent] if the session is not present; with a Store it is waited for, for a
// second, since its stream may have begun just now, at another process.
func (t *Table[K]) Take(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	return t.enter(ctx, by, key, take(by))
}

// Queue takes the lock if it is free, and else puts the session at the end of
// those who wait for it. The lock that it returns tells which: by its holder.
// A session that waits becomes the holder, and everybody is told, when it is
// the next in line and the lock is released, expires, or its holder is gone.
// Sessions that are gone leave the line.
//
// [ErrQueueFull] if too many wait. [ErrAbsent] if the session is not present.
func (t *Table[K]) Queue(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	most := t.MaxQueue
	if most == 0 {
		most = 100
	}
	return t.enter(ctx, by, key, queue(by, most))
}

// Steal makes the session the lock's holder, whoever holds it now. The reason is
// part of the change, so that who loses the lock can be told; those who wait go
// on waiting.
//
// [ErrAbsent] if the session is not present.
func (t *Table[K]) Steal(ctx context.Context, by presence.Session, key K, reason string) (Lock[K], error) {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return t.enter(ctx, by, key, steal(by, reason))
}

const maxReason = 1 << 10 // bytes: a line or two, for everybody to see

// Release frees the lock, or hands it over to the next session that waits; a
// session that waits itself leaves the line. It returns the lock as it is now.
//
// [ErrNotHeld] if the session has no part in the lock; nothing has changed.
func (t *Table[K]) Release(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	return t.change(ctx, key, release(by, Released))
}

// Renew lets the time begin anew after which a lock expires, see MaxHold.
//
// [ErrNotHeld] if the session does not hold the lock.
func (t *Table[K]) Renew(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	return t.change(ctx, key, renew(by))
}

// Check returns nil if the session holds the lock with that fence, and
// else [ErrNotHeld], or [ErrCutOff] if this process cannot know. What is checked can change at once: where a write must not
// come late, give the fence to what is written, as in "UPDATE … WHERE
// lock_fence <= ?".
func (t *Table[K]) Check(by presence.Session, key K, fence uint64) error {
	if l, _ := t.Load(key); l.Holder != by || l.Fence != fence || by == nobody {
		return ErrNotHeld
	}
	if !t.Presence.Leased() {
		return ErrCutOff
	}
	return nil
}

// Load returns the lock; held is false if it is free.
func (t *Table[K]) Load(key K) (l Lock[K], held bool) {
	t.init()
	l.Key = key
	name, err := t.record(key)
	if err != nil {
		return l, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[name]; e != nil {
		l = e.lock()
	}
	return l, l.Held()
}

// All returns an iterator over the locks that are held, in no particular order,
// as they were when it began.
func (t *Table[K]) All() iter.Seq[Lock[K]] {
	return func(yield func(Lock[K]) bool) {
		for _, l := range t.list() {
			if !yield(l) {
				return
			}
		}
	}
}

func (t *Table[K]) list() []Lock[K] {
	t.init()
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Lock[K], 0, len(t.entries))
	for _, e := range t.entries {
		if e.Holder != nobody {
			list = append(list, e.lock())
		}
	}
	return list
}

// sessions returns those that have a part in a lock.
func (t *Table[K]) sessions() []presence.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.parts))
}

// Snapshot returns all locks, as the event that SnapshotEvent makes of them. It is for
// [sse.Set.Snapshot]: a page then knows of every lock from the beginning on,
// whatever it has missed.
func (t *Table[K]) Snapshot(*sse.EventSource) ([]sse.Event, error) {
	if t.SnapshotEvent == nil {
		return nil, nil
	}
	return []sse.Event{t.SnapshotEvent(t.list())}, nil
}

// Close ends what the table does by itself: it frees nothing any more. It waits
// for what is going on. Locks in a Store of the program's stay as they are.
func (t *Table[K]) Close() error {
	t.init()
	t.mu.Lock()
	t.closed = true
	for _, e := range t.entries {
		e.stop()
	}
	t.mu.Unlock()
	t.cancel()
	t.forget()
	t.running.Wait()
	return nil
}

// enter is change for a session that wants to have a part in the lock, and must
// be present for that.
func (t *Table[K]) enter(ctx context.Context, by presence.Session, key K, do step) (Lock[K], error) {
	t.init()
	if by == nobody || !t.arrives(ctx, by) {
		l, _ := t.Load(key)
		return l, ErrAbsent
	}
	l, err := t.change(ctx, key, do)
	if err == nil && !t.Presence.Present(by) {
		// It has left meanwhile, perhaps before there was anything to free.
		t.left(by)
		l, _ = t.Load(key)
		return l, ErrAbsent
	}
	return l, err
}

// arrives reports whether the session is present. Of one whose stream has begun just
// now, at another process, this one may still have to hear.
func (t *Table[K]) arrives(ctx context.Context, s presence.Session) bool {
	if t.Store == nil || t.Presence.Present(s) {
		return t.Presence.Present(s)
	}
	tick := time.NewTicker(arrivalTick)
	defer tick.Stop()
	late := time.NewTimer(arrivalTimeout)
	defer late.Stop()
	for {
		select {
		case <-tick.C:
			if t.Presence.Present(s) {
				return true
			}
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// change does a step to a lock.
func (t *Table[K]) change(ctx context.Context, key K, do step) (Lock[K], error) {
	t.init()
	name, err := t.record(key)
	if err != nil {
		return Lock[K]{Key: key}, err
	}
	return t.changeRecord(ctx, name, key, do)
}
