package presence

import (
	"slices"
	"time"

	"example.org/sse"
)

// A session is a tracker's state of a Session that is present: here, because it has or
// recently had connections, or at other processes. It is guarded by the tracker's mutex
// and is not used again once it has ended: if the Session comes back, it gets a new one.
type session struct {
	id     Session
	stays  []stay
	others []*remote // records of other processes that keep it present

	// Its life at this process: the time from its first connection here to its end.
	life  uint64 // number of this life, by the tracker's counter; 0: it is not here
	since uint64 // number that the life had at first, see leaseGrantedLocked
	from  uint64 // the revision that this process had seen when the life began
	open  []*connection
	lost  time.Time // when the last connection was lost, if there is none

	message uint64 // number of the page's newest message, by the page's count
	heard   uint64 // number of that message, by the tracker's counter; 0: none
	data    *data  // nil if none was ever set

	dataHere bool      // the data was set at this process
	hidden   bool      // the page has reported that it is hidden
	shown    time.Time // when it reported that it no longer is
	renewed  time.Time

	timer *time.Timer // calls expire; nil if no time limit runs
	key   string      // of its record; empty until there is one
}

// A connection is one stream of a session.
type connection struct {
	source *sse.EventSource
	of     *session
	places []*place
}

// A stay is the presence of a session in a place.
type stay struct {
	at     *place
	index  int       // in the place's list of members
	others int       // number of other processes at which it is there
	here   bool      // it is there at this process
	open   int       // connections
	lost   time.Time // when the last connection was lost, if there is none
}

// stay returns the session's stay in a place, or nil.
func (p *session) stay(at *place) *stay {
	for i := range p.stays {
		if p.stays[i].at == at {
			return &p.stays[i]
		}
	}
	return nil
}

// connect adds a connection. The session has entered its places already.
func (p *session) connect(c *connection) {
	c.of = p
	p.renewed = time.Now()
	p.open = append(p.open, c)
	for _, at := range c.places {
		p.stay(at).open++
	}
}

// connectionLost is called when a connection's source has ended.
func (t *Tracker) connectionLost(c *connection) {
	t.mu.Lock()
	var open []*connection
	p := c.of
	if at := slices.Index(p.open, c); at >= 0 && !t.closed { // otherwise the session has ended already
		now := time.Now()
		p.open = slices.Delete(p.open, at, at+1)
		p.lost = now
		for _, at := range c.places {
			s := p.stay(at)
			s.open--
			s.lost = now
		}
		open = t.expireLocked(p)
	}
	t.mu.Unlock()
	t.notifyAndClose(open)
}

// isNews reports whether the page's message n is new, and has not been overtaken by a
// newer one. Messages with the number 0 are always new.
func (p *session) isNews(n uint64) bool {
	if n != 0 && n <= p.message {
		return false
	}
	p.message = max(p.message, n)
	return true
}

// setHidden records that the page is there, hidden or not, and reports whether that is a
// change.
func (p *session) setHidden(hidden bool) (changed bool) {
	now := time.Now()
	changed = p.hidden != hidden
	if changed && !hidden {
		p.shown = now
	}
	p.hidden = hidden
	p.renewed = now
	return changed
}

// expireLocked ends the session, or its stays, here if their time is up, and sets the
// timer for the next such moment. It returns connections to be closed.
func (t *Tracker) expireLocked(p *session) []*connection {
	if p.life == 0 {
		return nil
	}
	now := time.Now()
	var next time.Time
	// over reports whether a moment has passed; if not, it is a candidate for next.
	over := func(moment time.Time) bool {
		if !now.Before(moment) {
			return true
		}
		if next.IsZero() || moment.Before(next) {
			next = moment
		}
		return false
	}
	if t.MaxSilence > 0 && over(p.renewed.Add(t.maxSilence(p))) || len(p.open) == 0 && over(t.graceEnd(p, p.lost)) {
		open := t.departLocked(p)
		t.pruneLocked(p, false)
		return open
	}
	left := false
	for i := range p.stays {
		if s := &p.stays[i]; s.here && s.open == 0 && over(t.graceEnd(p, s.lost)) {
			s.here = false
			left = true
		}
	}
	if left {
		t.pruneLocked(p, false)
		t.writeLocked(p)
	}
	switch {
	case !next.IsZero() && p.timer == nil:
		p.timer = time.AfterFunc(next.Sub(now), func() { t.expire(p) })
	case !next.IsZero():
		p.timer.Reset(next.Sub(now))
	case p.timer != nil:
		p.timer.Stop() // if it has just fired, expire finds nothing to do
		p.timer = nil
	}
	return nil
}

// expire is called when a time limit has run out.
func (t *Tracker) expire(p *session) {
	t.mu.Lock()
	var open []*connection
	if !t.closed {
		open = t.expireLocked(p)
	}
	t.mu.Unlock()
	t.notifyAndClose(open)
}

// graceEnd returns when the grace for a lost connection ends. A page that was hidden,
// and therefore has no stream, gets its grace from when it is shown again.
func (t *Tracker) graceEnd(p *session, lost time.Time) time.Time {
	grace := orDefault(t.Grace, defaultGrace)
	if p.hidden && t.HiddenGrace >= 0 {
		return lost.Add(orDefault(t.HiddenGrace, defaultHiddenGrace))
	}
	if p.shown.After(lost) {
		lost = p.shown
	}
	return lost.Add(grace)
}

// maxSilence returns how long a page may be silent.
func (t *Tracker) maxSilence(p *session) time.Duration {
	if p.hidden && t.HiddenGrace >= 0 {
		return max(t.MaxSilence, orDefault(t.HiddenGrace, defaultHiddenGrace))
	}
	return t.MaxSilence
}

// orDefault returns the value of an option: 0 means the default, a negative value 0.
func orDefault(option, otherwise time.Duration) time.Duration {
	if option == 0 {
		return otherwise
	}
	return max(option, 0)
}

// arriveLocked starts a session's life here.
func (t *Tracker) arriveLocked(p *session) {
	t.counter++
	p.life, p.since, p.from = t.counter, t.counter, t.seen
}

// departLocked ends a session's life here. It returns the connections that are still
// open; the caller closes them after it has released the mutex.
func (t *Tracker) departLocked(p *session) []*connection {
	if p.life == 0 {
		return nil
	}
	p.life = 0
	for i := range p.stays {
		p.stays[i].here, p.stays[i].open = false, 0
	}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	open := p.open
	p.open = nil
	t.writeLocked(p)
	return open
}

// pruneLocked removes a session from the places where it no longer is, at any process,
// and ends it if it exists at no process, with or without a goodbye.
func (t *Tracker) pruneLocked(p *session, goodbye bool) {
	if p.life == 0 && len(p.others) == 0 && t.sessions[p.id] == p {
		delete(t.sessions, p.id)
		if p.dataHere {
			t.writeLocked(p) // the data ends with the session
		}
		t.notices = append(t.notices, notice{left: p.id, goodbye: goodbye})
	}
	p.stays = slices.DeleteFunc(p.stays, func(s stay) bool {
		if s.here || s.others > 0 {
			return false
		}
		t.exitLocked(p, s, goodbye)
		return true
	})
}

// goodbyeLocked ends a session at all processes.
func (t *Tracker) goodbyeLocked(p *session) []*connection {
	ended := make(map[string]uint64)
	if p.life != 0 {
		ended[t.node] = p.life
	}
	for _, r := range slices.Clone(p.others) {
		ended[r.node.id] = r.life
		r.ended = r.life
		p.removeRemote(r)
	}
	open := t.departLocked(p)
	t.pruneLocked(p, true)
	t.writeGoodbyeLocked(p, ended)
	return open
}

// notifyAndClose reports the notices and closes connections. In the opposite order, the
// end of a stream might report the notices, and later than the call that caused them.
func (t *Tracker) notifyAndClose(open []*connection) {
	defer closeAll(open) // also if a function of the program panics
	t.notify()
}

// closeAll closes the sources of connections, without waiting for them.
func closeAll(connections []*connection) {
	if len(connections) == 0 {
		return
	}
	group := sse.Set{History: -1}
	for _, c := range connections {
		group.Add(c.source)
	}
	group.CloseAll()
}
