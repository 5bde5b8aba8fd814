package backplane

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Records are linked in the order of their revisions, so that what has changed
// since a revision is the end of the list. A deleted record stays in it for as
// long as a watcher has to be told.
type records struct {
	byKey    map[string]*memoryRecord
	oldest   *memoryRecord
	newest   *memoryRecord
	rev      uint64 // of the last change
	deleted  int    // records in the list that are not there any more
	sweep    int    // when there are more of those, some may be superfluous
	watchers []*watcher
}

type memoryRecord struct {
	Record

	born         uint64      // revision that it came with; a watcher that has not got so far does not know it
	expires      time.Time   // zero: never
	timer        *time.Timer // set with the first ttl
	older, newer *memoryRecord
}

type watcher struct {
	pos     uint64 // all changes up to this revision have been passed on, or are about to be
	changed chan struct{}
}

// Swap is [Store].Swap. It never waits.
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
		s.change(r, nil) // its timer is about to
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
	m.expireAfter(r, ttl)
	present = r.Record
	s.clean()
	return present, nil
}

// expireAfter sets when a record goes by itself. The caller holds m.mu.
func (m *Memory) expireAfter(r *memoryRecord, ttl time.Duration) {
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
		return // it was changed while the timer fired
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
		default: // it has been told already
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

// clean forgets the deleted records that no watcher has to be told of. It looks
// for them when there are more than could be left from the last time, and a part
// of all, and so costs little per change.
func (s *records) clean() {
	if s.deleted <= s.sweep {
		return
	}
	for r := s.oldest; r != nil; {
		next := r.newer
		if r.Value == nil && !slices.ContainsFunc(s.watchers, func(w *watcher) bool { return r.tell(w.pos) }) {
			s.unlink(r)
			delete(s.byKey, r.Key)
			s.deleted--
		}
		r = next
	}
	s.sweep = 2*s.deleted + len(s.byKey)/2 + 64
}

// tell reports whether a watcher that has got all changes up to pos lacks this one.
func (r *memoryRecord) tell(pos uint64) bool {
	return r.Rev > pos && (r.Value != nil || r.born <= pos)
}

// Watch is [Store].Watch. A watcher that is slow is told, in one batch, of all
// that have changed meanwhile.
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

// changes returns the records below prefix that the watcher has to be told of,
// in the order of their revisions.
func (m *Memory) changes(w *watcher, prefix string, batch []Record) []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r := m.records.newest; r != nil && r.Rev > w.pos; r = r.older {
		if r.tell(w.pos) && strings.HasPrefix(r.Key, prefix) {
			batch = append(batch, r.Record)
		}
	}
	slices.Reverse(batch)
	w.pos = m.records.rev
	return batch
}
