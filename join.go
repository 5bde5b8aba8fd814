package sse

import (
	"fmt"
	"slices"

	"example.org/sse/backplane"
)

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
		events, err := m.set.Snapshot(m.source)
		for _, e := range events {
			if err != nil {
				break
			}
			err = m.source.DispatchEvent(e)
		}
		if err != nil {
			m.source.end(fmt.Errorf("sse: snapshot: %w", err))
		}
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
