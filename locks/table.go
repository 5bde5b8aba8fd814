package locks

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/internal/sessions"
	"example.org/sse/presence"
)

// A Table holds locks that are identified by keys of type K: a card's number, a path,
// a struct of both. A Table needs Presence; all other fields may be zero. Fields must
// not be changed after first use. Its methods may be called from any goroutine.
type Table[K comparable] struct {
	// Presence knows which sessions are present. A lock is released when its holder's
	// session ends. Presence must not be nil. If the tracker has a Store, the locks are
	// kept there too, and tables of the same Name in several processes act as one; see
	// "Several processes" above. Otherwise they are kept in the table's memory, and are
	// free after a restart of the process.
	Presence *presence.Tracker

	// ChangeEvent and SnapshotEvent make the events for streams, see [Table.Add]: of a
	// change, for all of them, in the order of the changes; and of all locks that are held,
	// in the order of their fences, for a newcomer. Nil: JSON.
	ChangeEvent   func(Change[K]) sse.Event
	SnapshotEvent func([]Lock[K]) sse.Event

	// Changed, if not nil, is called with each change after its event was sent to streams,
	// in the order of the changes and never concurrently. It may call the table.
	Changed func(Change[K])

	// MaxHold is how long a lock may be held; [Table.Renew] restarts this time. 0: as
	// long as the holder is present.
	MaxHold time.Duration

	// MaxQueue is the number of sessions that may wait for a lock. 0: 100.
	MaxQueue int

	// Name distinguishes the table from others of the same tracker: two of one name panic
	// at the first use. In a Store it must fit into a record's key, together with a lock's
	// key: it may have 108 bytes if a key has 384.
	Name string

	// Hub, if not nil, carries the changes of what is locked. A process does not report
	// that a lock is free before its members have been sent what was dispatched to the
	// hub, in any process, before the lock was released.
	Hub *sse.Hub

	once     sync.Once
	group    sse.Set // the streams
	sessions sessions.Access[presence.Session]
	store    backplane.Store // Presence's; nil: the locks are in entries alone
	prefix   string          // of all records' keys
	attached bool            // no other table of Presence has the name
	live     chan struct{}   // closed when the table has read the store
	ctx      context.Context // done when the table is closed
	cancel   context.CancelFunc
	detach   func()         // ends Presence's calls
	running  sync.WaitGroup // the table's own goroutines

	mu        sync.Mutex // taken before the tracker's
	closed    bool
	fence     uint64                        // the newest, without a store
	entries   map[string]*entry[K]          // by the record's key
	parts     map[presence.Session][]string // the records of locks that a session holds or waits for
	notices   []notice[K]                   // not reported yet
	notifying bool                          // a goroutine is reporting them

	// With a store.
	watch      int                       // the number of the tracker's newest watch
	seen       uint64                    // the newest revision that it has passed on
	ahead      map[string]struct{}       // entries from swaps that it has not passed on yet
	turns      map[string]*turn          // by the record's key
	confirming map[presence.Session]bool // sessions that may be gone; true: ask once more
}

// Take makes the session the lock's holder if the lock is free, and returns the lock.
// If the session already holds it, the lock is returned unchanged.
//
// The error is [ErrHeld] if another session holds the lock, which is returned as well,
// and [ErrAbsent] if the session is not present. With a Store, Take waits until the
// session's record is stored, and up to a second for a session that this process has not
// heard of, since its stream may have just started at another one.
//
// If the context ends before the Store has answered, which is
// [backplane.ErrIndeterminate], the session may have got the lock all the same. Then every
// process reports that it has; another Take returns the same fence, and Release frees it.
// If nobody does either, it is free when the session ends, or after MaxHold.
func (t *Table[K]) Take(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	return t.enter(ctx, by, key, take(by))
}

// Queue takes the lock if it is free, and otherwise puts the session at the end of the
// queue. The returned lock's Holder shows which of the two happened. The first session
// in the queue becomes the holder, and that change is reported, when the lock is
// released or expires or its holder's session ends. Sessions that end leave the queue.
//
// The error is [ErrQueueFull] if MaxQueue sessions wait, and [ErrAbsent] if the session
// is not present, as in [Table.Take].
func (t *Table[K]) Queue(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	most := t.MaxQueue
	if most == 0 {
		most = 100
	}
	return t.enter(ctx, by, key, queue(by, most))
}

// Steal makes the session the lock's holder, even if another session holds it. The
// reason, of which the first 1024 bytes are kept, is part of the change, so that the
// page that loses the lock can show it. Sessions in the queue keep waiting.
//
// The error is [ErrAbsent] if the session is not present, as in [Table.Take].
func (t *Table[K]) Steal(ctx context.Context, by presence.Session, key K, reason string) (Lock[K], error) {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return t.enter(ctx, by, key, steal(by, reason))
}

const maxReason = 1 << 10 // bytes

// Release releases the session's lock, or passes it to the next session in the queue.
// If the session is in the queue itself, it leaves the queue. Release returns the lock
// as it is afterwards.
//
// The error is [ErrNotHeld] if the session neither holds the lock nor waits for it.
func (t *Table[K]) Release(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	return t.change(ctx, key, release(by, Released))
}

// Renew restarts the time after which the lock expires, see MaxHold.
//
// The error is [ErrNotHeld] if the session does not hold the lock.
func (t *Table[K]) Renew(ctx context.Context, by presence.Session, key K) (Lock[K], error) {
	return t.change(ctx, key, renew(by))
}

// Check returns nil if the session holds the lock with that fence, and [ErrNotHeld]
// otherwise. It asks the Store, if there is one, for 5 s at most; the error is [ErrCutOff]
// if that does not answer, or if other processes may have given the lock away because they
// do not hear from this one. The lock can be lost right after the check: where a write must
// not come late, make it conditional on the fence, as in "UPDATE … WHERE lock_fence <= ?".
func (t *Table[K]) Check(ctx context.Context, by presence.Session, key K, fence uint64) error {
	_, err := t.check(ctx, by, key, fence)
	return err
}

// check is like Check, and returns the lock that it has looked at.
func (t *Table[K]) check(ctx context.Context, by presence.Session, key K, fence uint64) (Lock[K], error) {
	l, err := t.look(ctx, key)
	switch {
	case err != nil:
		return l, err
	case !t.sessions.Leased():
		return l, ErrCutOff
	case l.Holder != by || l.Fence != fence || by == nobody:
		return l, ErrNotHeld
	}
	return l, nil
}

// look returns a lock as the store has it, if there is one.
func (t *Table[K]) look(ctx context.Context, key K) (Lock[K], error) {
	t.init()
	name, err := t.recordKey(key)
	if err != nil {
		return Lock[K]{Key: key}, err
	}
	if t.store == nil {
		now, _ := t.current(name)
		return t.lock(name, key, now), nil
	}
	if !t.sessions.Leased() {
		return Lock[K]{Key: key}, ErrCutOff
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, rev := t.current(name)
	now, _, err := t.read(ctx, name, key, rev)
	if err != nil {
		return Lock[K]{Key: key}, fmt.Errorf("%w: %w", ErrCutOff, err)
	}
	return t.lock(name, key, now), nil
}

func (t *Table[K]) isLive() bool {
	select {
	case <-t.live:
		return true
	default:
		return false
	}
}

// Load returns the lock; held is false if it is free.
func (t *Table[K]) Load(key K) (l Lock[K], held bool) {
	t.init()
	l.Key = key
	name, err := t.recordKey(key)
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

// All returns an iterator over the locks that are held when the iteration starts, in no
// particular order.
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

// Close stops the table's own work, and waits for work in progress: locks no longer
// expire and are no longer released when a session ends. Locks in a Store stay as they are.
func (t *Table[K]) Close() error {
	t.init()
	t.mu.Lock()
	t.closed = true
	for _, e := range t.entries {
		e.stop()
	}
	t.mu.Unlock()
	t.cancel()
	t.detach()
	t.running.Wait()
	return nil
}

// enter is like change, for a step that makes the session hold the lock or wait for
// it: the session must be present, and every process must hear so before it hears of the
// lock.
func (t *Table[K]) enter(ctx context.Context, by presence.Session, key K, do step) (Lock[K], error) {
	t.init()
	present, err := by != nobody, error(nil)
	if present {
		present, err = t.confirm(ctx, by)
	}
	if err != nil || !present {
		l, _ := t.Load(key)
		return l, cmp.Or(err, ErrAbsent)
	}
	l, err := t.change(ctx, key, do)
	if err != nil || t.Presence.Present(by) {
		return l, err
	}
	// The session has ended in the meantime, perhaps before there was a lock to release.
	present, err = t.sessions.Confirm(ctx, by)
	switch {
	case err != nil:
		t.releaseGone(by) // which takes the time that the caller does not have
		return l, err
	case present: // elsewhere
		return l, nil
	}
	t.removeSession(by)
	l, _ = t.Load(key)
	return l, ErrAbsent
}

// confirm reports whether a session is present. One that this process has not heard of may
// have just connected to another, which takes a moment to find out.
func (t *Table[K]) confirm(ctx context.Context, s presence.Session) (bool, error) {
	if t.store == nil {
		return t.Presence.Present(s), nil
	}
	heard := t.Presence.Present(s)
	within := ctx
	if !heard {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, arrivalTimeout)
		defer cancel()
	}
	present, err := t.sessions.Confirm(within, s)
	if err != nil && !heard && ctx.Err() == nil && within.Err() != nil {
		return false, nil // and no process has told of it
	}
	return present, err
}

// change applies a step to a lock.
func (t *Table[K]) change(ctx context.Context, key K, do step) (Lock[K], error) {
	t.init()
	name, err := t.recordKey(key)
	if err != nil {
		return Lock[K]{Key: key}, err
	}
	return t.changeEntry(ctx, name, key, do)
}

// changeEntry applies a step to a lock, in the store if there is one.
func (t *Table[K]) changeEntry(ctx context.Context, name string, key K, do step) (Lock[K], error) {
	if t.store == nil {
		return t.changeMemory(name, key, do)
	}
	return t.changeRecord(ctx, name, key, do)
}
