package sse

import "time"

const (
	// paceBytes is how far a set may be ahead of the last walk over its members
	// before dispatching waits for the next one.
	paceBytes = 64 << 10

	// paceWait is the longest that one dispatch is held up.
	paceWait = 20 * time.Millisecond

	// paceWrite is how long a write may take before its client is taken for the
	// cause, and no longer the processor.
	paceWrite = 50 * time.Millisecond

	// paceTick is the time between walks while the members are behind.
	paceTick = time.Millisecond
)

// deliver walks over the members until all of them know of all events: it sees
// to it that somebody writes to each, and that none is too far behind. It waits
// for no client. The caller has the turn.
func (s *Set) deliver() {
	for {
		if s.walk() {
			time.Sleep(paceTick)
		} else if s.delivery.yield() {
			return
		}
	}
}

// walk visits each member once and reports whether most of them are behind.
func (s *Set) walk() (behind bool) {
	var slow []*EventSource
	lagging := 0
	total := s.total.Load()
	s.mu.Lock()
	for _, m := range s.members {
		switch m.visit() {
		case visitLagging:
			lagging++
		case visitSlow:
			slow = append(slow, m.source)
		}
	}
	behind = lagging > len(s.members)/2
	s.mu.Unlock()
	for _, source := range slow {
		source.end(ErrSlow)
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.walked, s.behind = total, behind
	if s.calm != nil && !s.ahead() {
		close(s.calm)
		s.calm = nil
	}
	return behind
}

// A visit tells how a member fares.
type visit int

const (
	visitWell    visit = iota
	visitLagging       // half of the backlog waits, and the processor may be why
	visitSlow          // too far behind
)

// visit has somebody write to the source, or looks at how far the member is
// behind if somebody does already.
func (m *member) visit() visit {
	s := m.source
	claimed := s.turn.claim()
	if claimed {
		s.start()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.cursor == nil || s.reason != nil || claimed && !m.held {
		return visitWell
	}
	waiting := s.waiting()
	if waiting > int64(s.backlog) && m.several() {
		switch m.set.Slow {
		case SkipSlow:
			m.set.skipped.Add(m.skip())
		case LatestPerKey:
			m.compact(stamps.Load())
			if s.waiting() > int64(s.backlog) && len(m.latest) > 1 {
				return visitSlow
			}
		default:
			return visitSlow
		}
		waiting = s.waiting()
	}
	if waiting > int64(s.backlog)/2 && (s.writing.IsZero() || time.Since(s.writing) < paceWrite) {
		return visitLagging
	}
	return visitWell
}

// ahead reports whether the set has got ahead of its members as far as it may.
// The caller holds log.mu.
func (s *Set) ahead() bool { return s.behind || s.total.Load()-s.walked > paceBytes }

// tooFast returns nil, or a channel to wait for because the program dispatches
// faster than the machine can write. The caller holds log.mu.
func (s *Set) tooFast() <-chan struct{} {
	if s.open == 0 || !s.ahead() {
		return nil
	}
	if s.calm == nil {
		s.calm = make(chan struct{})
	}
	return s.calm
}

// wait waits for the machine, not for a client.
func wait(calm <-chan struct{}) {
	timer := time.NewTimer(paceWait)
	defer timer.Stop()
	select {
	case <-calm:
	case <-timer.C:
	}
}
