package presence

import (
	"slices"
	"time"

	"example.org/sse"
)

// A session is what a tracker knows of a Session that is present: here, because it
// has connections or had some a moment ago, or at other processes. It is guarded by
// the tracker's mutex, and of no use any more once it has ended: should the Session
// come back, it gets another one.
type session struct {
	id     Session
	stays  []stay
	others []*remote // records of other processes that it is there

	// Its being here.
	life  uint64 // which one it is of those that this tracker has counted; 0: it is not here
	since uint64 // which one it was at first, see leaseMade
	open  []*connection
	lost  time.Time // when there was none left, if there is none

	said    uint64    // number of the page's newest word
	word    uint64    // which one the newest is of those that this tracker has heard; 0: none
	hidden  bool      // by the page's word
	shown   time.Time // when that was over
	renewed time.Time

	timer *time.Timer // to review it; nil if no time limit runs
	key   string      // of its records; empty until there is one
}

// A connection is one stream of a session's.
type connection struct {
	source *sse.EventSource
	of     *session
	places []*place
}

// A stay is a session's being in a place.
type stay struct {
	at     *place
	others int       // processes at which it is
	here   bool      // it is in this process, too
	open   int       // connections
	lost   time.Time // when there was none left, if there is none
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

// connect adds a connection, whose places have been entered.
func (p *session) connect(c *connection) {
	c.of = p
	p.renewed = time.Now()
	p.open = append(p.open, c)
	for _, at := range c.places {
		p.stay(at).open++
	}
}

// lost is called when a connection's source has ended.
func (t *Tracker) lost(c *connection) {
	t.mu.Lock()
	var open []*connection
	p := c.of
	if at := slices.Index(p.open, c); at >= 0 && !t.closed { // else the session has ended before
		now := time.Now()
		p.open = slices.Delete(p.open, at, at+1)
		p.lost = now
		for _, at := range c.places {
			s := p.stay(at)
			s.open--
			s.lost = now
		}
		open = t.review(p)
	}
	t.mu.Unlock()
	t.finish(open)
}

// heeds reports whether a word is news, and not one that newer word has overtaken
// on its way. 0 is not counted.
func (p *session) heeds(n uint64) bool {
	if n != 0 && n <= p.said {
		return false
	}
	p.said = max(p.said, n)
	return true
}

// say is that the page is there, hidden or not. It reports whether it has changed.
func (p *session) say(hidden bool) (changed bool) {
	now := time.Now()
	changed = p.hidden != hidden
	if changed && !hidden {
		p.shown = now
	}
	p.hidden = hidden
	p.renewed = now
	return changed
}

// review ends what has had its time here, and sees to it that the next such moment
// is not missed. It returns connections to be closed.
func (t *Tracker) review(p *session) []*connection {
	if p.life == 0 {
		return nil
	}
	now := time.Now()
	var next time.Time
	// over reports whether a moment has come, or else notes it.
	over := func(moment time.Time) bool {
		if !now.Before(moment) {
			return true
		}
		if next.IsZero() || moment.Before(next) {
			next = moment
		}
		return false
	}
	if t.MaxSilence > 0 && over(p.renewed.Add(t.renewal(p))) || len(p.open) == 0 && over(t.grace(p, p.lost)) {
		open := t.away(p)
		t.settle(p, false)
		return open
	}
	left := false
	for i := range p.stays {
		if s := &p.stays[i]; s.here && s.open == 0 && over(t.grace(p, s.lost)) {
			s.here = false
			left = true
		}
	}
	if left {
		t.settle(p, false)
		t.write(p)
	}
	switch {
	case !next.IsZero() && p.timer == nil:
		p.timer = time.AfterFunc(next.Sub(now), func() { t.due(p) })
	case !next.IsZero():
		p.timer.Reset(next.Sub(now))
	case p.timer != nil:
		p.timer.Stop() // if it is too late for that, there is one review too many
		p.timer = nil
	}
	return nil
}

// due is called when a time limit has run out.
func (t *Tracker) due(p *session) {
	t.mu.Lock()
	var open []*connection
	if !t.closed {
		open = t.review(p)
	}
	t.mu.Unlock()
	t.finish(open)
}

// grace returns until when a connection that was lost may come back. A page that
// was hidden, and has no stream therefore, needs time for that from when it is
// seen again.
func (t *Tracker) grace(p *session, lost time.Time) time.Time {
	grace := orDefault(t.Grace, defaultGrace)
	if p.hidden && t.HiddenGrace >= 0 {
		return lost.Add(orDefault(t.HiddenGrace, defaultHidden))
	}
	if p.shown.After(lost) {
		lost = p.shown
	}
	return lost.Add(grace)
}

// renewal returns how long a page may be silent.
func (t *Tracker) renewal(p *session) time.Duration {
	if p.hidden && t.HiddenGrace >= 0 {
		return max(t.MaxSilence, orDefault(t.HiddenGrace, defaultHidden))
	}
	return t.MaxSilence
}

// orDefault returns what an option means: 0 is the default, negative is nothing.
func orDefault(option, otherwise time.Duration) time.Duration {
	if option == 0 {
		return otherwise
	}
	return max(option, 0)
}

// arrive is the beginning of a session's being here.
func (t *Tracker) arrive(p *session) {
	t.counter++
	p.life, p.since = t.counter, t.counter
}

// away is the end of a session's being here. It returns the connections that it
// still has; the caller closes them once it has given back the lock.
func (t *Tracker) away(p *session) []*connection {
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
	t.write(p)
	return open
}

// settle has a session leave the places where it is not any more, here or
// elsewhere, and ends it if it is nowhere, with or without a goodbye.
func (t *Tracker) settle(p *session, goodbye bool) {
	if p.life == 0 && len(p.others) == 0 && t.sessions[p.id] == p {
		delete(t.sessions, p.id)
		t.news = append(t.news, news{left: p.id})
	}
	p.stays = slices.DeleteFunc(p.stays, func(s stay) bool {
		if s.here || s.others > 0 {
			return false
		}
		t.exit(p, s.at, goodbye)
		return true
	})
}

// bye ends a session everywhere.
func (t *Tracker) bye(p *session) []*connection {
	ended := make(map[string]uint64)
	if p.life != 0 {
		ended[t.node] = p.life
	}
	for _, r := range slices.Clone(p.others) {
		ended[r.node.id] = r.life
		r.over = r.life
		p.without(r)
	}
	open := t.away(p)
	t.settle(p, true)
	t.writeEnd(p, ended)
	return open
}

// finish tells the news of a change, and closes what it has left open. In this
// order: else the streams' ends might be what tells the news, later than the call
// that they come from.
func (t *Tracker) finish(open []*connection) {
	defer closeAll(open) // should a function of the program's panic
	t.tell()
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
