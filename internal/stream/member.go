package stream

import (
	"slices"

	"example.org/sse/internal/eventlog"
)

// A SlowPolicy is what a group does with a member for which too much waits.
type SlowPolicy int

// The policies; see package sse.
const (
	CloseSlow SlowPolicy = iota
	SkipSlow
	LatestPerKey
)

// A Member is a stream's place in a group. Its reader, and what waits there, are
// guarded by the stream's mutex.
type Member struct {
	stream *Stream
	group  *Group // nil once it has left
	view   *view  // nil: the events as they are; immutable
	eventlog.Reader

	// Guarded by group.mu.
	at        int32 // in group.members, negative once it has left
	announced bool
	deleted   bool // it has left, and its stream has not ended
	value     any  // of a Map
}

// Stream returns the member's stream.
func (m *Member) Stream() *Stream { return m.stream }

// Enter makes the stream a member, unless it is one or has ended. The member's
// reader has no place yet: nothing is sent before [Stream.Place]. Without a view the
// member is sent the events as they are.
func (g *Group) Enter(s *Stream, value any, v *View) *Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != nil || s.memberLocked(g) != nil {
		return nil
	}
	m := &s.first
	if s.joined { // a walk may still hold the old one
		m = new(Member)
	}
	s.joined = true
	m.stream, m.group, m.value, m.at, m.view = s, g, value, int32(len(g.members)), newView(v, g.Topic)
	m.Reader.Open(g.Topic)
	g.members = append(g.members, m)
	g.Topic.Coders.Join(s.decoder.Coding())
	if s.members == nil {
		s.members = s.one[:0] // mostly there is one
	}
	s.members = append(s.members, m)
	return m
}

// Find returns the stream's membership, nil without one.
func (g *Group) Find(s *Stream) *Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.findLocked(s)
}

func (g *Group) findLocked(s *Stream) *Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.memberLocked(g); m != nil && m.at >= 0 {
		return m
	}
	return nil
}

func (s *Stream) memberLocked(g *Group) *Member {
	for _, m := range s.members {
		if m.group == g {
			return m
		}
	}
	return nil
}

// Value returns the value beside a member.
func (g *Group) Value(s *Stream) (value any, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.findLocked(s)
	if m == nil {
		return nil, false
	}
	return m.value, true
}

// SetValue replaces the value beside a member, and reports whether there is one.
func (g *Group) SetValue(s *Stream, value any) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.findLocked(s)
	if m != nil {
		m.value = value
	}
	return m != nil
}

// Members returns a copy of the list.
func (g *Group) Members() []*Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.members)
}

// Announce has Left called when the member leaves, now if it has left.
func (g *Group) Announce(m *Member) {
	if g.Left == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m.announced = true
	if m.at < 0 {
		g.notifyLocked(m)
	}
}

// notifyLocked has Left called for an announced member that has left.
func (g *Group) notifyLocked(m *Member) {
	if !m.announced || g.Left == nil {
		return
	}
	s, deleted := m.stream, m.deleted
	go func() {
		if deleted {
			g.Left(s.Owner, nil)
			return
		}
		s.mu.Lock()
		reason := s.reason
		s.mu.Unlock()
		g.Left(s.Owner, reason)
	}()
}

// remove takes the member out of its group: its stream has ended, or it is deleted. It
// reports whether it was in it.
func (g *Group) remove(m *Member, deleted bool) bool {
	if !g.unlist(m, deleted) {
		return false
	}
	g.Topic.Coders.Leave(m.stream.decoder.Coding())
	return true
}

func (g *Group) unlist(m *Member, deleted bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.at < 0 {
		return false
	}
	last := int32(len(g.members) - 1)
	g.members[m.at] = g.members[last]
	g.members[m.at].at = m.at
	g.members[last] = nil
	if g.members = g.members[:last]; last == 0 {
		g.members = nil // a slice does not shrink by itself
	}
	m.at, m.value, m.deleted = -1, nil, deleted
	g.Topic.Leave(m.Input())
	g.notifyLocked(m)
	return true
}

// Delete takes a stream out of the group and leaves it open. What was dispatched
// before goes into the stream's own queue. It reports whether the stream was a
// member.
func (g *Group) Delete(s *Stream) bool {
	m := g.Find(s)
	if m == nil || !g.remove(m, true) {
		return false
	}
	if m.view != nil && !m.seeLast() {
		return true
	}
	m.depart()
	return true
}

// seeLast shows the view what was dispatched before, and nothing else. If another
// goroutine is about it, that lets the member depart, and seeLast reports false.
func (m *Member) seeLast() bool {
	s, v := m.stream, m.view
	s.mu.Lock()
	v.until = eventlog.LastStamp()
	if v.busy {
		v.after = append(v.after, m.depart)
		s.mu.Unlock()
		return false
	}
	s.mu.Unlock()
	m.see(true)
	return true
}

// depart lets the member leave its stream.
func (m *Member) depart() {
	s := m.stream
	s.mu.Lock()
	if i := slices.Index(s.members, m); i >= 0 {
		m.moveToQueueLocked(eventlog.LastStamp())
		s.members = slices.Delete(s.members, i, i+1)
		m.leftLocked()
	}
	s.mu.Unlock()
	s.nudge() // a walk that was to come will not find it any more
}

// moveToQueueLocked moves what waits for the member, up to a stamp, to the stream's
// own queue.
func (m *Member) moveToQueueLocked(horizon uint64) {
	for _, it := range m.takeLocked(nil, horizon) {
		m.stream.insertLocked(it)
	}
}

// leftLocked lets go of all that the group has.
func (m *Member) leftLocked() {
	m.group = nil
	m.Reader.Release()
	if m.view != nil {
		m.view.reader.Release()
	}
}

// Has reports whether the stream is a member that gets what is dispatched now.
func (g *Group) Has(s *Stream) bool {
	m := g.Find(s)
	return m != nil && g.Topic.Has(m.Input())
}

// Place lets members of the stream read from their places, all in one step: a stream
// that resumes is sent events of several members in one order, and some of them are older
// than its hold. What waits for the members up to the hold, from before, is sent first.
// From then on nothing passes that is newer than the stamp.
func (s *Stream) Place(members []*Member, places []eventlog.Place, h *Hold, stamp uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range members {
		if m.group == nil {
			m.Input().Miss(places[i])
			continue // it has left
		}
		m.moveToQueueLocked(h.stamp)
		m.Input().Set(places[i])
	}
	h.stamp = min(h.stamp, stamp)
}

// takeLocked appends to items what waits for the member, up to a stamp.
func (m *Member) takeLocked(items []eventlog.Item, horizon uint64) []eventlog.Item {
	if m.group.Slow == LatestPerKey && (m.Compacted() || m.Several()) {
		return m.TakeLatest(items, horizon)
	}
	return m.Take(items, horizon)
}

// limit does what the group's policy says if too much waits for the member.
func (g *Group) limit(m *Member) {
	s := m.stream
	s.mu.Lock()
	slow := m.slowLocked()
	if slow && g.Slow == SkipSlow {
		g.skipped.Add(m.Input().Skip())
		slow = false
	}
	if slow && g.Slow == LatestPerKey && m.view == nil {
		m.Compact(eventlog.LastStamp())
		slow = m.slowLocked() && m.Keys() > 1
	}
	s.mu.Unlock()
	if slow {
		s.End(ErrSlow)
	}
}

// slowLocked reports whether more waits than may. While a snapshot is made nothing
// is too much: the client could not take it.
func (m *Member) slowLocked() bool {
	s := m.stream
	return m.group != nil && s.holds == nil && (m.Input().Several() || m.Keys() > 1) && s.waitingLocked() > s.limitLocked()
}
