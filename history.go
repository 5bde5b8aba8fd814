package sse

import (
	"strconv"
	"strings"
	"time"

	"example.org/sse/backplane"
)

// remember adds an entry to the history. The caller holds l.mu.
func (l *log) remember(s *Set, e *entry) {
	if l.keep < 0 {
		l.floor = e.stamp
		return
	}
	e.at = time.Now()
	l.link(s, e)
	l.kept++
	l.keptBytes += len(e.chunk)
	if l.shared != nil {
		l.cursors[e.about.cursor] = e.stamp
	}
	l.trim(e.at)
	if l.age > 0 && !l.expiryRuns && l.kept > 0 {
		l.expiryRuns = true
		if l.expiry == nil {
			l.expiry = time.AfterFunc(l.age, l.expire)
		} else {
			l.expiry.Reset(l.age)
		}
	}
}

// link makes the entry the newest of the history. The caller holds l.mu.
func (l *log) link(s *Set, e *entry) {
	if e.set = s; s != nil {
		s.newest = e
	}
	if l.oldest == nil {
		l.oldest = e
	} else {
		l.newest.newer = e
	}
	l.newest = e
}

// trim forgets what is beyond the history's bounds. The caller holds l.mu.
func (l *log) trim(now time.Time) {
	for e := l.oldest; e != nil; e = l.oldest {
		if l.kept <= l.keep &&
			(l.bytes < 0 || l.keptBytes <= l.bytes) &&
			(l.age < 0 || now.Sub(e.at) < l.age) {
			return
		}
		if l.oldest = e.newer; l.oldest == nil {
			l.newest = nil
		}
		l.forget(e)
	}
}

// forget is called with an entry that was the oldest one. The caller holds l.mu.
func (l *log) forget(e *entry) {
	l.floor = e.stamp
	if !e.place {
		l.kept--
		l.keptBytes -= len(e.chunk)
		if l.shared != nil {
			delete(l.cursors, l.floorAt)
			l.floorAt = e.about.cursor // still good as the one before all that is kept
		}
	}
	s := e.set
	e.set, e.newer = nil, nil
	if s != nil && s.newest == e {
		s.newest = nil
		l.advance(s)
	}
}

// expire forgets the entries whose time has come, without waiting for the next
// dispatch, and comes again for the oldest that is left.
func (l *log) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.trim(now)
	if l.expiryRuns = l.oldest != nil; l.expiryRuns {
		l.expiry.Reset(max(l.oldest.at.Add(l.age).Sub(now), time.Millisecond))
	}
}

// find returns the stamp of the event that a client names as its last one, if
// everything after it is still kept. The caller holds l.mu.
func (l *log) find(id string) (stamp uint64, ok bool) {
	l.trim(time.Now())
	if c, isCursor := backplane.ParseCursor(id); isCursor {
		if stamp, ok := l.cursors[c]; ok {
			return stamp, stamp >= l.floor
		}
	}
	if epoch, offset, _ := strings.Cut(id, "-"); epoch == l.epoch {
		stamp, err := strconv.ParseUint(offset, 36, 64)
		return stamp, err == nil && stamp >= l.floor && stamp <= l.head
	}
	for e := l.oldest; e != nil; e = e.newer {
		if e.about.id == id && !e.place { // the newest with that id, should there be several
			stamp, ok = e.stamp, true
		}
	}
	return stamp, ok
}

// after returns the oldest kept entry that is newer than stamp, of each set
// that has one. The caller holds l.mu.
func (l *log) after(stamp uint64) map[*Set]*entry {
	first := make(map[*Set]*entry)
	for e := l.oldest; e != nil; e = e.newer {
		if e.stamp > stamp && e.set != nil && !e.place && first[e.set] == nil {
			first[e.set] = e
		}
	}
	return first
}

// has reports whether the set's history has an event that was dispatched under
// that name. The caller holds l.mu.
func (l *log) has(s *Set, once string) bool {
	for e := l.oldest; e != nil; e = e.newer {
		if e.set == s && e.about.once == once {
			return true
		}
	}
	return false
}
