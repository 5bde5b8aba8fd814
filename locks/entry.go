package locks

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// An entry is what the table knows about a lock.
type entry[K comparable] struct {
	state
	key    K
	rev    uint64 // of the newest record seen
	absent bool   // the store has no record
	until  time.Time
	timer  *time.Timer // nil if the lock does not expire
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

func (e *entry[K]) lock() Lock[K] {
	l := lockOf(e.key, e.state)
	l.Until = e.until
	return l
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

// apply updates the entry from a record, unless the table already knows a newer one.
// It returns the state with its fence. If final is set, nothing older can follow a
// missing record, and the entry is removed.
func (t *Table[K]) apply(key K, rec backplane.Record, now state, final bool) state {
	if now.Holder != nobody && now.Fence == 0 {
		now.Fence = rec.Rev
	}
	absent := rec.Value == nil
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[rec.Key]
	if e == nil {
		if absent || t.closed {
			return now
		}
		e = &entry[K]{key: key}
		t.entries[rec.Key] = e
	} else if rec.Rev != 0 && (rec.Rev < e.rev || rec.Rev == e.rev && !absent) {
		return now // a missing record has no revision, or the last one
	}
	before := e.state
	e.state, e.absent, e.rev = now, absent, max(rec.Rev, e.rev)
	if absent && final {
		delete(t.entries, rec.Key)
	}
	t.reindexLocked(rec.Key, before, now)
	t.setTimerLocked(rec.Key, e, before)
	t.noteLocked(e, before)
	return now
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
			_, err := t.changeRecord(ctx, name, key, do)
			cancel()
			if err == nil || errors.Is(err, ErrNotHeld) || t.ctx.Err() != nil {
				return
			}
			t.pause()
		}
	}
	if t.Store == nil {
		retry() // memory does not block
	} else {
		go retry()
	}
}
