package sse

import (
	"runtime"
	"sync"
	"time"
)

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
	w := walk{set: s, total: s.total.Load()}
	s.mu.Lock()
	n := len(s.members)
	w.rest = n
	s.mu.Unlock()
	var others sync.WaitGroup
	for range min((runtime.GOMAXPROCS(0)+1)/2, 1+n/walkMembers) - 1 {
		others.Go(w.run)
	}
	w.run()
	others.Wait()

	if len(w.late) > 0 {
		saturated := saturated()
		moving, ready := 0, 0
		for _, m := range w.late {
			switch m.progress(paceStall(saturated)) {
			case progressReady:
				ready++
			case progressMoving:
				moving++
			}
		}
		// A few that take their time are slow themselves.
		behind = ready > 0 || moving > n/16 && (saturated || w.busy > n/2)
		for _, m := range w.late {
			if m.progress(paceStall(true)) == progressNone {
				m.limit(1)
			} else {
				m.limit(readingBacklogs)
			}
		}
	}

	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.walked, s.offered, s.behind = w.total, 0, behind
	if s.calm != nil && !s.ahead() {
		close(s.calm)
		s.calm = nil
	}
	return behind
}

const (
	// walkMembers is for how many members another goroutine walks, on half of the
	// processors at most: the rest are for who reads, and for the program.
	walkMembers = 2000

	// walkStep is how many members a goroutine visits at a time.
	walkStep = 64
)

// A walk is one round of visits to a set's members.
type walk struct {
	set   *Set
	total int64 // of the set, when the walk began

	// Guarded by set.mu.
	rest int // the members before it have not been visited
	busy int
	late []*member
}

// run visits members until there are no more.
func (w *walk) run() {
	r := rounds.Get().(*round)
	defer r.release()
	var step [walkStep]*member
	for {
		n := w.next(step[:])
		if n == 0 {
			return
		}
		r.now = time.Now()
		r.touch(step[:n])
		busy := 0
		var late []*member
		for _, m := range step[:n] {
			switch m.visit(r) {
			case visitBusy:
				busy++
			case visitLate:
				busy++
				late = append(late, m)
			}
		}
		if busy > 0 {
			w.note(busy, late)
		}
	}
}

// next fills in the members to visit, and returns how many. They are taken from
// the end: when a member leaves, the last one takes its place, and of two places
// the later is visited first.
func (w *walk) next(step []*member) int {
	s := w.set
	s.mu.Lock()
	defer s.mu.Unlock()
	end := min(w.rest, len(s.members))
	w.rest = max(end-len(step), 0)
	return copy(step, s.members[w.rest:end])
}

func (w *walk) note(busy int, late []*member) {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.busy += busy
	w.late = append(w.late, late...)
}

// A visit tells how a member fares.
type visit int

const (
	visitWell visit = iota // what waited is written, or somebody begins to write it
	visitBusy              // somebody writes, and more waits
	visitLate              // much more
)

// visit writes to the source, or has somebody write, or looks at how far the
// member is behind if somebody does already.
func (m *member) visit(r *round) visit {
	s := m.source
	s.mu.Lock()
	if d := s.detached; d != nil {
		err := d.write(r)
		v := visitWell
		if len(d.flight) > 0 || m.held > 0 {
			v = m.fares()
		}
		d.settle(err, r.now)
		return v
	}
	defer s.mu.Unlock()
	if a := s.attached; a.turn.claim() {
		a.start()
		if m.held == 0 {
			return visitWell
		}
	}
	return m.fares()
}

// fares tells how much waits for the member. The caller holds source.mu.
func (m *member) fares() visit {
	s := m.source
	if m.cursor == nil || s.reason != nil {
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
	case !s.writing():
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
	held := m.held > 0 || m.source.order.goroutine != 0
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
