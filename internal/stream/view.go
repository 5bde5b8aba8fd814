package stream

import (
	"math"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// A View is how a member sees the events of its group.
type View struct {
	// Event returns the event that the member is sent instead of another, nil for
	// none. It is called without a lock held, and with an error the stream ends.
	Event func(wire.Chunk) (wire.Chunk, error)

	// Mark returns an event that has the id of another and nothing else, nil if that
	// has no id.
	Mark func(wire.Chunk) wire.Chunk

	// MarkEvery is the time between two marks.
	MarkEvery time.Duration
}

// A view is a member's. The member's own reader has no place: the view's reads the
// topic, and what the member is to see of it goes into the stream's queue, where
// its stamp says. Until an event has been seen nothing that is newer is sent. What
// has not been seen are references; of what has there is about flightBytes.
type view struct {
	View

	// Guarded by stream.mu.
	reader eventlog.Reader
	until  uint64   // events with a greater stamp are not the member's
	busy   bool     // a goroutine is in Event, or about to be
	after  []func() // what to do when it is not
	ahead  int      // bytes seen since the stream was last written to

	hidden  wire.Chunk // the newest event that the member was not sent, if it came last
	stamp   uint64     // of hidden
	visible time.Time  // when the member was last sent an id
}

// full reports whether enough has been seen until some of it is written.
func (v *view) full() bool { return v.ahead >= flightBytes }

func newView(v *View, t *eventlog.Topic) *view {
	if v == nil {
		return nil
	}
	own := &view{View: *v, until: math.MaxUint64, visible: time.Now()}
	own.reader.Open(t)
	return own
}

// Input returns the reader of what the member has not been sent.
func (m *Member) Input() *eventlog.Reader {
	if m.view != nil {
		return &m.view.reader
	}
	return &m.Reader
}

// see shows the view what is new: all of it, or about flightBytes at a time. It
// reports whether the stream has something to write. If another goroutine is about it,
// or the member has left, see does nothing.
func (m *Member) see(all bool) (pending bool) {
	s, v := m.stream, m.view
	s.mu.Lock()
	if v.busy || m.group == nil || v.full() && !all {
		s.mu.Unlock()
		return false
	}
	group := m.group
	v.busy = true
	err := m.seeLocked(all)
	marked := m.markLocked()
	v.busy = false
	after := v.after
	v.after = nil
	for _, other := range s.members {
		pending = pending || other.Pending()
	}
	pending = pending || len(s.queue) > 0
	s.mu.Unlock()
	if err != nil {
		s.End(err)
	}
	for _, f := range after {
		f()
	}
	if !marked {
		group.markLater(v.MarkEvery)
	}
	return pending
}

// seeLocked calls Event for what is new, with stream.mu unlocked.
func (m *Member) seeLocked(all bool) error {
	s, v := m.stream, m.view
	for s.reason == nil && m.group != nil && m.unseenLocked() && (all || !v.full()) {
		e := v.reader.Next()
		s.mu.Unlock()
		own, err := v.Event(e.Chunk())
		s.mu.Lock()
		if err != nil {
			return err
		}
		if v.reader.Next() != e {
			continue // it has been placed anew
		}
		free := v.reader.Replaying()
		v.reader.Advance(e.Next())
		c, size := s.counters(), int64(len(e.Chunk()))
		if v.hidden = nil; own == nil {
			v.hidden, v.stamp = e.Chunk(), e.Stamp()
			c.Hidden.Add(1, size)
			continue
		}
		c.Addressed.Add(0, int64(len(own))-size)
		s.insertLocked(eventlog.Item{Stamp: e.Stamp(), Chunk: own, Free: free})
		v.ahead += len(own)
		v.visible = time.Now()
	}
	return nil
}

// markLocked sends the id of an event that the member may not see, so that a client
// which is not sent anything for a long time can resume all the same. It reports false
// if it is too early for that. A stream in several groups gets no marks: its client may
// have a newer id already.
func (m *Member) markLocked() bool {
	s, v := m.stream, m.view
	if v.hidden == nil || len(s.members) != 1 || s.reason != nil {
		return true
	}
	if time.Since(v.visible) < v.MarkEvery {
		return false
	}
	if mark := v.Mark(v.hidden); mark != nil {
		it := eventlog.Item{Stamp: v.stamp, Chunk: mark, Free: true}
		s.addressed(it)
		s.insertLocked(it)
	}
	v.hidden, v.visible = nil, time.Now()
	return true
}

// goOnLocked has a view shown more, since its stream is being written to.
func (m *Member) goOnLocked() {
	if m.view == nil {
		return
	}
	if m.view.full() {
		m.group.Deliver()
	}
	m.view.ahead = 0
}

// markLater has a walk send the marks that are due after d.
func (g *Group) markLater(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.marking {
		return
	}
	g.marking = true
	time.AfterFunc(d, func() {
		g.mu.Lock()
		g.marking = false
		g.mu.Unlock()
		g.Deliver()
	})
}

// unseenLocked reports whether there is something that a view has not been shown.
func (m *Member) unseenLocked() bool {
	return m.view != nil && m.view.reader.Pending() && m.view.reader.Next().Stamp() <= m.view.until
}

// seeAll shows all that has been dispatched to the stream's views, and reports true. If
// another goroutine is about it, that calls f afterwards, and seeAll reports false.
func (s *Stream) seeAll(f func()) bool {
	for {
		var next *Member
		s.mu.Lock()
		for _, m := range s.members {
			if s.reason != nil || m.view == nil {
				continue
			}
			if m.view.busy {
				m.view.after = append(m.view.after, f)
				s.mu.Unlock()
				return false
			}
			if m.unseenLocked() {
				next = m
			}
		}
		s.mu.Unlock()
		if next == nil {
			return true
		}
		next.see(true)
	}
}
