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

// An entry is what the table knows of a lock.
type entry[K comparable] struct {
	state
	key    K
	rev    uint64 // of the newest record that was seen
	absent bool   // there is no record
	until  time.Time
	timer  *time.Timer // nil without a limit
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

// look returns a lock's state, and the revision that its record must have to be
// changed.
func (t *Table[K]) look(name string) (state, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[name]
	if e == nil || e.absent {
		return state{}, 0
	}
	return e.state, e.rev
}

// apply takes over what a record says, unless something newer is known already.
// It returns the state, with its fence. Word of a missing record is final if
// nothing older can come after it.
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
		return now // that there is no record has no revision of its own, or the last one
	}
	before := e.state
	e.state, e.absent, e.rev = now, absent, max(rec.Rev, e.rev)
	if absent && final {
		delete(t.entries, rec.Key)
	}
	t.reindex(rec.Key, before, now)
	t.retime(rec.Key, e, before)
	t.note(e, before)
	return now
}

// reindex keeps parts as the entries are. The caller holds t.mu.
func (t *Table[K]) reindex(name string, before, now state) {
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

// has reports whether the session has a part in the lock.
func (s state) has(one presence.Session) bool {
	return s.Holder == one || slices.Contains(s.Queue, one)
}

// sessions are all that have a part in the lock.
func (s state) sessions() iter.Seq[presence.Session] {
	return func(yield func(presence.Session) bool) {
		if s.Holder != nobody && !yield(s.Holder) {
			return
		}
		for _, waits := range s.Queue {
			if !yield(waits) {
				return
			}
		}
	}
}

// retime lets the lock expire in time. The caller holds t.mu.
func (t *Table[K]) retime(name string, e *entry[K], before state) {
	if t.MaxHold <= 0 || e.Fence == before.Fence && e.Renewed == before.Renewed {
		return
	}
	e.stop()
	e.until, e.timer = time.Time{}, nil
	if e.Holder == nobody || t.closed {
		return
	}
	// Counted from now, and not from when the record was written: no two clocks
	// are compared, and nobody is early.
	e.until = time.Now().Add(t.MaxHold)
	step := expire(e.Holder, e.Fence, e.Renewed)
	e.timer = time.AfterFunc(t.MaxHold, func() { t.bySelf(name, e.key, step) })
}

// left frees what a session held that is gone, and takes it out of all queues.
func (t *Table[K]) left(s presence.Session) {
	t.mu.Lock()
	names := slices.Clone(t.parts[s])
	keys := make([]K, len(names))
	for i, name := range names {
		keys[i] = t.entries[name].key
	}
	t.mu.Unlock()
	for i, name := range names {
		t.bySelf(name, keys[i], t.leave(s))
	}
}

// leave is release for a session that is gone. It may be back by the time that the
// store answers: then it keeps what it has.
func (t *Table[K]) leave(s presence.Session) step {
	gone := release(s, Left)
	return func(now state) (state, bool, error) {
		if t.Presence.Present(s) {
			return now, false, nil
		}
		return gone(now)
	}
}

// bySelf does a step that nobody waits for, until it is done.
func (t *Table[K]) bySelf(name string, key K, do step) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.running.Add(1)
	t.mu.Unlock()
	insist := func() {
		defer t.running.Done()
		for {
			ctx, cancel := context.WithTimeout(t.ctx, storeTimeout)
			_, err := t.changeRecord(ctx, name, key, do)
			cancel()
			if err == nil || errors.Is(err, ErrNotHeld) || t.ctx.Err() != nil {
				return
			}
			t.rest()
		}
	}
	if t.Store == nil {
		insist() // memory does not keep anybody waiting
	} else {
		go insist()
	}
}
