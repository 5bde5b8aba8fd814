package locks

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// An entry is what the table knows about a lock.
type entry[K comparable] struct {
	state
	key   K
	until time.Time
	timer *time.Timer // nil if the lock does not expire

	// With a store.
	rev     uint64 // of the newest record seen
	absent  bool   // the store has no record
	watch   int    // the newest watch that has passed it on, or during which it was swapped
	told    state  // as last reported
	toldRev uint64
}

func (e *entry[K]) stop() {
	if e.timer != nil {
		e.timer.Stop()
	}
}

func lockOf[K comparable](key K, s state) Lock[K] {
	l := Lock[K]{Key: key, Holder: s.Holder, Fence: s.Fence, Queue: s.Queue}
	if s.Since != 0 {
		l.Since = time.UnixMilli(s.Since)
	}
	return l
}

func (e *entry[K]) lock() Lock[K] { return e.lockOf(e.state) }

// lockOf returns the lock in a state that the entry has, or had.
func (e *entry[K]) lockOf(s state) Lock[K] {
	l := lockOf(e.key, s)
	if s.Fence == e.Fence && s.Renewed == e.Renewed {
		l.Until = e.until
	}
	return l
}

// lock returns the lock in the state after a step.
func (t *Table[K]) lock(name string, key K, s state) Lock[K] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[name]; e != nil {
		return e.lockOf(s)
	}
	return lockOf(key, s)
}

// changeMemory applies a step to a lock of a table without a store. The step and what the
// table makes of it are one, so that no goroutine can be late.
func (t *Table[K]) changeMemory(name string, key K, do step) (Lock[K], error) {
	after := t.cursor()
	l, changed, err := func() (Lock[K], bool, error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.closed {
			return Lock[K]{Key: key}, false, errClosed
		}
		e := t.entries[name]
		if e == nil {
			e = &entry[K]{key: key}
		}
		next, changed, err := do(e.state)
		if err != nil || !changed {
			return e.lock(), false, err
		}
		next.After = after
		if next.Holder != nobody && next.Fence == 0 {
			t.fence = max(t.fence+1, uint64(time.Now().UnixMicro())) //nolint:gosec // after 1970
			next.Fence = t.fence
		}
		before := e.state
		t.setLocked(name, e, next)
		t.noteLocked(e, before, next)
		return e.lock(), true, nil
	}()
	if changed {
		t.notify()
	}
	return l, err
}

// setLocked gives an entry a new state. An entry without a record, which is free, is
// removed, if nothing older can follow.
func (t *Table[K]) setLocked(name string, e *entry[K], now state) {
	before := e.state
	e.state = now
	t.reindexLocked(name, before, now)
	t.setTimerLocked(name, e, before)
	_, ahead := t.ahead[name]
	if now.Holder == nobody && (t.store == nil || e.absent && !ahead) {
		delete(t.entries, name)
	} else {
		t.entries[name] = e
	}
}

// current returns a lock's state and the revision that a change must replace.
func (t *Table[K]) current(name string) (state, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[name]
	if e == nil || e.absent {
		return state{}, 0
	}
	return e.state, e.rev
}

// applySwap updates the entry from the record that a swap has returned, which may come
// later than newer ones. old is the revision that the swap should have replaced. The
// change is reported when the watch passes it on, in the order of all changes.
func (t *Table[K]) applySwap(key K, rec backplane.Record, now state, old uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[rec.Key]
	switch {
	case t.closed:
	case rec.Value == nil:
		// Without a record there is no revision by which to see what is newer. But what
		// the swap should have replaced is no more.
		if e != nil && e.rev == old && !e.absent {
			e.absent = true
			t.setLocked(rec.Key, e, now)
		}
	case e == nil && rec.Rev <= t.seen: // the watch has passed on its deletion
	case e == nil || rec.Rev > e.rev:
		if e == nil {
			e = &entry[K]{key: key}
		}
		e.rev, e.absent, e.watch = rec.Rev, false, t.watch
		if rec.Rev > t.seen {
			t.ahead[rec.Key] = struct{}{}
		}
		t.setLocked(rec.Key, e, now)
	}
}

// applyBatch updates entries from records that a watch has passed on. If listed is set, the
// watch has passed on all records that there were at its beginning. It returns sessions
// that hold a lock, or wait for one, and that the tracker has not heard of.
func (t *Table[K]) applyBatch(batch []backplane.Record, watch int, listed bool) (unknown []presence.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watch = watch
	for _, rec := range batch {
		t.seen = max(t.seen, rec.Rev)
		var key K
		now, err := decode(rec)
		if err == nil {
			err = json.Unmarshal([]byte(strings.TrimPrefix(rec.Key, t.prefix)), &key)
		}
		if err == nil { // otherwise the record is not a table's
			t.applyLocked(key, rec, now)
			for s := range now.sessions() {
				if !t.Presence.Present(s) {
					unknown = append(unknown, s)
				}
			}
		}
	}
	free := state{Cause: Expired}
	for name := range t.ahead {
		if e := t.entries[name]; e.rev <= t.seen { // it was deleted before it was passed on
			delete(t.ahead, name)
			e.absent = true
			t.setLocked(name, e, free)
		}
	}
	if !listed {
		return unknown
	}
	for name, e := range t.entries {
		if e.watch != t.watch { // it was deleted before this watch began
			delete(t.ahead, name)
			t.tellLocked(e, free, e.toldRev)
			e.absent = true
			t.setLocked(name, e, free)
		}
	}
	return unknown
}

// applyLocked updates an entry from a record that the watch has passed on.
func (t *Table[K]) applyLocked(key K, rec backplane.Record, now state) {
	absent := rec.Value == nil
	e := t.entries[rec.Key]
	if e == nil {
		if absent || t.closed {
			return
		}
		e = &entry[K]{key: key}
	}
	again := e.watch == t.watch && rec.Rev != 0 && rec.Rev <= e.toldRev && !absent
	if e.watch = t.watch; again { // after an interruption
		return
	}
	_, ahead := t.ahead[rec.Key]
	if newer := rec.Rev > e.rev; newer || !ahead || rec.Rev == e.rev {
		delete(t.ahead, rec.Key)
		if e.absent = absent; !absent {
			e.rev = rec.Rev
		}
		t.setLocked(rec.Key, e, now)
	}
	t.tellLocked(e, now, rec.Rev)
}

// tellLocked notes a change for the report, from what was reported before.
func (t *Table[K]) tellLocked(e *entry[K], now state, rev uint64) {
	before := e.told
	e.told, e.toldRev = now, rev
	t.noteLocked(e, before, now)
}

// reindexLocked updates t.parts after an entry has changed.
func (t *Table[K]) reindexLocked(name string, before, now state) {
	if before.Holder == now.Holder && len(before.Queue)+len(now.Queue) == 0 {
		return
	}
	for s := range before.sessions() {
		if now.has(s) {
			continue
		}
		names := t.parts[s]
		i := slices.Index(names, name)
		if names = slices.Delete(names, i, i+1); len(names) > 0 {
			t.parts[s] = names
		} else {
			delete(t.parts, s)
		}
	}
	for s := range now.sessions() {
		if !before.has(s) {
			t.parts[s] = append(t.parts[s], name)
		}
	}
}

// has reports whether a session holds the lock or waits for it.
func (s state) has(one presence.Session) bool {
	return s.Holder == one || slices.Contains(s.Queue, one)
}

// sessions yields the holder and the sessions that wait.
func (s state) sessions() iter.Seq[presence.Session] {
	return func(yield func(presence.Session) bool) {
		if s.Holder != nobody && !yield(s.Holder) {
			return
		}
		for _, waiting := range s.Queue {
			if !yield(waiting) {
				return
			}
		}
	}
}

// setTimerLocked starts, restarts or stops the timer that lets the lock expire.
func (t *Table[K]) setTimerLocked(name string, e *entry[K], before state) {
	if t.MaxHold <= 0 || e.Fence == before.Fence && e.Renewed == before.Renewed {
		return
	}
	e.stop()
	e.until, e.timer = time.Time{}, nil
	if e.Holder == nobody || t.closed {
		return
	}
	// The time runs from now, not from when the record was written: so no two clocks
	// are compared, and no process is early.
	e.until = time.Now().Add(t.MaxHold)
	step := expire(e.Holder, e.Fence, e.Renewed)
	e.timer = time.AfterFunc(t.MaxHold, func() { t.changeAlone(name, e.key, step) })
}

// removeSession releases the locks of a session that has ended and takes it out of
// all queues.
func (t *Table[K]) removeSession(s presence.Session) {
	t.mu.Lock()
	names := slices.Clone(t.parts[s])
	keys := make([]K, len(names))
	for i, name := range names {
		keys[i] = t.entries[name].key
	}
	t.mu.Unlock()
	for i, name := range names {
		t.changeAlone(name, keys[i], t.leave(s))
	}
}

// leave is like release, for a session that has ended. If the session is back by the
// time the store answers, it keeps what it has.
func (t *Table[K]) leave(s presence.Session) step {
	gone := release(s, Left)
	return func(now state) (state, bool, error) {
		if t.Presence.Present(s) {
			return now, false, nil
		}
		return gone(now)
	}
}

// changeAlone applies a step that no caller waits for, and retries until it succeeds.
func (t *Table[K]) changeAlone(name string, key K, do step) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.running.Add(1)
	t.mu.Unlock()
	retry := func() {
		defer t.running.Done()
		for {
			ctx, cancel := context.WithTimeout(t.ctx, storeTimeout)
			_, err := t.changeEntry(ctx, name, key, do)
			cancel()
			if err == nil || errors.Is(err, ErrNotHeld) || t.ctx.Err() != nil {
				return
			}
			t.pause()
		}
	}
	if t.store == nil {
		retry() // memory does not block
	} else {
		go retry()
	}
}
