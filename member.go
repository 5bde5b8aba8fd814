package sse

import (
	"maps"
	"slices"

	"example.org/sse/backplane"
)

// A member is a source's place in a set: a cursor into the set's events.
type member struct {
	source *EventSource
	set    *Set

	// Guarded by source.mu.
	cursor *entry // the first that was not taken
	start  int64  // of the backlog, in bytes of the set: a replay does not count
	latest map[string]item
	kept   int64 // bytes in latest
	held   int32 // nothing is sent: snapshots come first

	// Guarded by the log's mu.
	counted bool // in set.open
	left    bool

	// Guarded by set.mu.
	at    int // in set.members, negative once it has left
	value any // of a Map
}

// enter makes the source a member that is held, has no cursor yet, and does not
// count.
func (s *Set) enter(source *EventSource, value any) *member {
	if !source.accepted() {
		return nil
	}
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	source.mu.Lock()
	defer source.mu.Unlock()
	if source.reason != nil || source.memberOf(s) != nil {
		return nil
	}
	m := &source.first
	if m.set != nil { // it has served
		m = new(member)
	}
	*m = member{set: s, source: source, value: value, at: len(s.members), held: 1}
	s.members = append(s.members, m)
	if source.members == nil {
		source.members = source.one[:0] // mostly there is one
	}
	source.members = append(source.members, m)
	return m
}

// find returns the source's place in the set, if it is a member. The caller
// holds s.mu.
func (s *Set) find(source *EventSource) *member {
	if !source.accepted() {
		return nil
	}
	source.mu.Lock()
	defer source.mu.Unlock()
	if m := source.memberOf(s); m != nil && m.at >= 0 {
		return m
	}
	return nil
}

// memberOf returns the source's place in the set. The caller holds s.mu.
func (s *EventSource) memberOf(set *Set) *member {
	for _, m := range s.members {
		if m.set == set {
			return m
		}
	}
	return nil
}

// join lets new members, all of the same source and log, begin to read: from
// one place, so that what is dispatched to several sets keeps its order. On a
// shared log it may have to wait until that is known.
func join(source *EventSource, members []*member) {
	l := members[0].set.log
	seen, _ := backplane.ParseCursor(source.LastEventID())
	if !l.lockFor(source, seen) {
		return // the stream has ended, or the hub is closed
	}
	source.mu.Lock()
	stamp, resumes := source.resume(l)
	l.seat(source, members, stamp, resumes, source.lastEventID != "")
}

// rejoin lets members of one source that are held, since they have missed
// something, go on from a snapshot.
func rejoin(members []*member) {
	source, l := members[0].source, members[0].set.log
	if l.lockFor(source, backplane.Cursor{}) {
		source.mu.Lock()
		l.seat(source, members, 0, false, true)
	}
}

// seat gives members that are held their place: the one that they resume from,
// or the present, and a snapshot first. Then they are held no longer. A source
// that does not resume, and has seen something before, has a gap. The caller
// holds l.mu and source.mu, and seat unlocks both.
func (l *log) seat(source *EventSource, members []*member, stamp uint64, resumes, before bool) {
	var missed map[*Set]*entry
	if resumes {
		missed = l.after(stamp)
	}
	begin := stamps.Add(1) // nothing of this log is dispatched meanwhile
	members = slices.DeleteFunc(members, func(m *member) bool { return m.left })
	for _, m := range members {
		m.cursor = m.set.tail
		m.start = m.cursor.bytes
		if e := missed[m.set]; e != nil {
			m.cursor = e
		}
		if !m.counted {
			m.counted = true
			m.set.open++
		}
	}
	place := l.standAt(members, stamp, resumes)
	outer, gap := source.order, before && l.shared != nil
	if !resumes && (gap || slices.ContainsFunc(members, (*member).hasSnapshot)) {
		source.order = snapshotOrder{goroutine: goroutine(), stamp: begin}
	}
	source.mu.Unlock()
	l.mu.Unlock()
	if !resumes {
		for _, m := range members {
			m.snapshot(gap)
		}
	}
	source.mu.Lock()
	source.order = outer
	if len(place) > 0 && source.reason == nil {
		source.insert(item{stamp: begin, chunk: place})
	}
	pending := source.release(members)
	source.mu.Unlock()
	if pending {
		source.nudge()
	}
}

func (m *member) hasSnapshot() bool { return m.set.Snapshot != nil }

// snapshot sends the source the set's state as it is now, or else tells it of a
// gap, if there is one.
func (m *member) snapshot(gap bool) {
	switch {
	case m.set.Snapshot != nil:
		m.set.Snapshot(m.source)
	case gap:
		m.source.Dispatch(gapType, "") //nolint:errcheck // the event is good, and a stream that has ended misses nothing
	}
}

// A snapshotOrder gives what a set's Snapshot dispatches, in its own goroutine, a
// place before all that is dispatched meanwhile, and has that wait.
type snapshotOrder struct {
	goroutine uint64 // 0: none
	stamp     uint64
}

// release lets members be sent what follows their snapshots, and reports whether
// there is something. The caller holds s.mu.
func (s *EventSource) release(members []*member) (pending bool) {
	pending = len(s.queue) > 0
	for _, m := range members {
		if m.held--; m.held == 0 && m.cursor.filled.Load() {
			pending = true
		}
	}
	return pending
}

// resume returns where in the log the source goes on, if it can, and has not yet
// done so. The caller holds l.mu and s.mu.
func (s *EventSource) resume(l *log) (stamp uint64, ok bool) {
	if s.lastEventID != "" && !s.resumed {
		stamp, s.resumed = l.find(s.lastEventID)
		return stamp, s.resumed
	}
	return 0, false
}

// leave takes the member out of its set. It reports whether it was in it.
func (s *Set) leave(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.at < 0 {
		return false
	}
	last := len(s.members) - 1
	s.members[m.at] = s.members[last]
	s.members[m.at].at = m.at
	s.members[last] = nil
	s.members = s.members[:last]
	m.at = -1
	if last == 0 {
		s.members = nil // a slice does not shrink by itself
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	m.left = true
	if m.counted {
		s.open--
	}
	return true
}

// delete takes the member out of its set and leaves its source open. What was
// dispatched before goes into the source's own queue.
func (m *member) delete() bool {
	if !m.set.leave(m) {
		return false
	}
	s := m.source
	s.mu.Lock()
	if i := slices.Index(s.members, m); i >= 0 {
		s.members = slices.Delete(s.members, i, i+1)
		if m.held == 0 {
			s.queue = append(s.queue, m.take(nil, stamps.Load())...)
			slices.SortStableFunc(s.queue, byStamp)
			s.queued = 0
			for _, it := range s.queue {
				s.queued += len(it.chunk)
			}
		}
	}
	s.mu.Unlock()
	s.nudge() // a walk that was to come will not find it any more
	return true
}

// take appends to items what waits for the member, up to a stamp, and moves
// the cursor on. The caller holds source.mu.
func (m *member) take(items []item, horizon uint64) []item {
	if m.set.Slow == LatestPerKey && (m.latest != nil || m.several()) {
		m.compact(horizon)
		first := len(items)
		items = slices.AppendSeq(items, maps.Values(m.latest))
		slices.SortFunc(items[first:], byStamp)
		m.latest, m.kept = nil, 0
		return items
	}
	for ; m.cursor.filled.Load() && m.cursor.stamp <= horizon; m.cursor = m.cursor.next {
		items = append(items, item{stamp: m.cursor.stamp, chunk: m.cursor.chunk})
	}
	return items
}

// only returns the member whose events are all that can be pending for the
// source, and can be taken one by one, if there is one. The caller holds s.mu.
func (s *EventSource) only() *member {
	if len(s.members) != 1 || len(s.queue) > 0 || s.order.goroutine != 0 {
		return nil
	}
	m := s.members[0]
	if m.held > 0 || m.set.Slow == LatestPerKey && (m.latest != nil || m.several()) {
		return nil
	}
	return m
}

// several reports whether more than one event waits. The caller holds
// source.mu.
func (m *member) several() bool {
	return m.cursor.filled.Load() && (len(m.latest) > 0 || m.cursor.next.filled.Load())
}

// waiting returns how many bytes wait for the member, and for how many of them
// the event accounts that is the next to be sent. The caller holds source.mu.
func (m *member) waiting() (bytes, next int64) {
	if m.cursor == nil || !m.cursor.filled.Load() {
		return m.kept, 0
	}
	return max(m.set.total.Load()-max(m.cursor.bytes, m.start), 0) + m.kept, int64(len(m.cursor.chunk))
}

// compact moves what waits for the member into latest, where an event takes
// the place of an older one with its key. The caller holds source.mu.
func (m *member) compact(horizon uint64) {
	if m.latest == nil {
		m.latest = make(map[string]item)
	}
	for ; m.cursor.filled.Load() && m.cursor.stamp <= horizon; m.cursor = m.cursor.next {
		e := m.cursor
		m.kept += int64(len(e.chunk) - len(m.latest[e.about.key].chunk))
		m.latest[e.about.key] = item{stamp: e.stamp, chunk: e.chunk}
	}
}

// skip drops what waits for the member but for the newest event, and returns
// how many events it dropped. The caller holds source.mu.
func (m *member) skip() (n uint64) {
	for m.several() {
		m.cursor = m.cursor.next
		n++
	}
	return n
}
