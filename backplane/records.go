package backplane

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Records are linked in the order of their revisions, so that those that have changed
// since a revision are the end of the list. A deleted record stays in the list as long as
// a watcher has to see the deletion. All of this is guarded by the Memory's mutex.
type records struct {
	byKey    map[string]*memoryRecord
	oldest   *memoryRecord
	newest   *memoryRecord
	rev      uint64 // of the last change
	deleted  int    // number of deleted records in the list
	sweep    int    // with more deleted records than this, clean looks for superfluous ones
	watchers []*watcher
}

type memoryRecord struct {
	Record

	born         uint64      // revision of its creation; a watcher that has not reached it does not know the record
	expires      time.Time   // zero: never
	timer        *time.Timer // made for the first ttl
	older, newer *memoryRecord
}

type watcher struct {
	pos     uint64 // all changes up to this revision are passed to fn, or about to be
	changed chan struct{}
}

// Swap implements [Store]. It never blocks.
func (m *Memory) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (Record, error) {
	if err := CheckRecord(key, value); err != nil {
		return Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.records
	if s.rev == 0 {
		s.byKey = make(map[string]*memoryRecord)
		s.rev = uint64(time.Now().UnixMicro()) //nolint:gosec // after 1970
	}
	r := s.byKey[key]
	if r != nil && r.Value != nil && !r.expires.IsZero() && !time.Now().Before(r.expires) {
		s.change(r, nil) // its timer is about to fire
		s.clean()
		r = s.byKey[key]
	}
	present := Record{Key: key}
	if r != nil && r.Value != nil {
		present = r.Record
	}
	switch {
	case present.Rev != old:
		return present, ErrConflict
	case value == nil && old == 0:
		return present, nil
	case r == nil:
		r = &memoryRecord{Record: Record{Key: key}, born: s.rev + 1}
		s.byKey[key] = r
	}
	s.change(r, value)
	if value == nil {
		ttl = 0
	}
	m.expireAfterLocked(r, ttl)
	present = r.Record
	s.clean()
	return present, nil
}

// expireAfterLocked sets when a record expires.
func (m *Memory) expireAfterLocked(r *memoryRecord, ttl time.Duration) {
	if ttl <= 0 {
		r.expires = time.Time{}
		if r.timer != nil {
			r.timer.Stop()
		}
		return
	}
	ttl = RoundTTL(ttl)
	r.expires = time.Now().Add(ttl)
	if r.timer == nil {
		r.timer = time.AfterFunc(ttl, func() { m.expire(r) })
	} else {
		r.timer.Reset(ttl)
	}
}

func (m *Memory) expire(r *memoryRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Value == nil || r.expires.IsZero() || time.Now().Before(r.expires) {
		return // the record was changed while the timer fired
	}
	m.records.change(r, nil)
	m.records.clean()
}

// change gives a record a value and the next revision, and wakes the watchers.
func (s *records) change(r *memoryRecord, value []byte) {
	wasDeleted := r.Rev != 0 && r.Value == nil
	s.rev++
	if r.Rev != 0 {
		s.unlink(r)
	}
	r.Rev, r.Value = s.rev, value
	r.older = s.newest
	if s.newest != nil {
		s.newest.newer = r
	} else {
		s.oldest = r
	}
	s.newest = r
	switch isDeleted := value == nil; {
	case isDeleted && !wasDeleted:
		s.deleted++
	case wasDeleted && !isDeleted:
		s.deleted--
	}
	for _, w := range s.watchers {
		select {
		case w.changed <- struct{}{}:
		default: // it is about to look
		}
	}
}

func (s *records) unlink(r *memoryRecord) {
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		s.oldest = r.newer
	}
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		s.newest = r.older
	}
	r.older, r.newer = nil, nil
}

// clean removes the deleted records that no watcher has to see. It only searches the list
// when there are many more deleted records than after the last search, and so costs little
// per change.
func (s *records) clean() {
	if s.deleted <= s.sweep {
		return
	}
	for r := s.oldest; r != nil; {
		next := r.newer
		if r.Value == nil && !slices.ContainsFunc(s.watchers, func(w *watcher) bool { return r.newTo(w.pos) }) {
			s.unlink(r)
			delete(s.byKey, r.Key)
			s.deleted--
		}
		r = next
	}
	s.sweep = 2*s.deleted + len(s.byKey)/2 + 64
}

// newTo reports whether a watcher that has all changes up to pos needs this one.
func (r *memoryRecord) newTo(pos uint64) bool {
	return r.Rev > pos && (r.Value != nil || r.born <= pos)
}

// Watch implements [Store]. A slow fn gets all records that have changed in the meantime
// in one batch.
func (m *Memory) Watch(ctx context.Context, prefix string, fn func(batch []Record, live bool) error) error {
	w := &watcher{changed: make(chan struct{}, 1)}
	m.mu.Lock()
	m.records.watchers = append(m.records.watchers, w)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.records.watchers = slices.DeleteFunc(m.records.watchers, func(o *watcher) bool { return o == w })
		m.records.clean()
	}()
	var batch []Record
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch = m.changes(w, prefix, batch[:0])
		if len(batch) > 0 || first {
			if err := fn(batch, true); err != nil {
				return err
			}
			clear(batch)
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
		}
	}
}

// changes returns the records below prefix that are new to the watcher, in the order of
// their revisions.
func (m *Memory) changes(w *watcher, prefix string, batch []Record) []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r := m.records.newest; r != nil && r.Rev > w.pos; r = r.older {
		if r.newTo(w.pos) && strings.HasPrefix(r.Key, prefix) {
			batch = append(batch, r.Record)
		}
	}
	slices.Reverse(batch)
	w.pos = m.records.rev
	return batch
}
