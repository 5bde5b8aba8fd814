package sse

import "time"

// startDelivery sees to it that a goroutine walks over the members after this
// call. It ends when all of them know of all events.
func (s *Set) startDelivery() {
	if s.delivery.claim() {
		go s.deliver()
	}
}

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

// walk visits each member once and reports whether the members are behind for
// want of processor time.
func (s *Set) walk() (behind bool) {
	total := s.total.Load()
	s.mu.Lock()
	n := len(s.members)
	busy := 0
	var late []*member
	for _, m := range s.members {
		switch m.visit() {
		case visitBusy:
			busy++
		case visitLate:
			busy++
			late = append(late, m)
		}
	}
	s.mu.Unlock()

	if len(late) > 0 {
		saturated := saturated()
		moving, ready := 0, 0
		for _, m := range late {
			switch m.progress(paceStall(saturated)) {
			case progressReady:
				ready++
			case progressMoving:
				moving++
			}
		}
		behind = ready > 0 || saturated && moving > 0 || busy > n/2 && moving > n/16
		for _, m := range late {
			if m.progress(paceStall(true)) == progressNone {
				m.limit(1)
			} else {
				m.limit(readingBacklogs)
			}
		}
	}

	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.walked, s.offered, s.behind = total, 0, behind
	if s.calm != nil && !s.ahead() {
		close(s.calm)
		s.calm = nil
	}
	return behind
}

// A visit tells how a member fares.
type visit int

const (
	visitWell visit = iota // somebody begins to write to it, if anything waits
	visitBusy              // somebody writes to it, and more waits
	visitLate              // much more
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
	switch waiting := s.waiting(); {
	case waiting == 0:
		return visitWell
	case waiting <= min(int64(s.backlog)/4, paceLate):
		return visitBusy
	}
	return visitLate
}

// A progress tells whose turn it is.
type progress int

const (
	progressNone   progress = iota // the client's, who has taken nothing lately
	progressMoving                 // the client's, who takes what it gets
	progressReady                  // ours: somebody is about to write, once there is a processor for it
)

// progress tells how the writing gets on.
func (s *EventSource) progress(stall time.Duration) progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.writing.IsZero():
		return progressReady
	case time.Since(time.Unix(0, s.moved.Load())) < stall:
		return progressMoving
	}
	return progressNone
}

// progress is that of the source, other than that a snapshot has the time that
// a client has.
func (m *member) progress(stall time.Duration) progress {
	m.source.mu.Lock()
	held := m.held
	m.source.mu.Unlock()
	if p := m.source.progress(stall); p != progressReady || !held {
		return p
	}
	return progressMoving
}

// limit does what the set's policy says if more than so many backlogs wait for
// the member.
func (m *member) limit(backlogs int64) {
	s := m.source
	s.mu.Lock()
	most := backlogs * int64(s.backlog)
	slow := s.reason == nil && s.waiting() > most && m.several()
	if slow && m.set.Slow == SkipSlow {
		m.set.skipped.Add(m.skip())
		slow = false
	}
	if slow && m.set.Slow == LatestPerKey {
		m.compact(stamps.Load())
		slow = s.waiting() > most && len(m.latest) > 1
	}
	s.mu.Unlock()
	if slow {
		s.end(ErrSlow)
	}
}
