package presence

import (
	"slices"
	"time"

	"example.org/sse"
)

// A session is what a tracker knows of a Session that is present. It is guarded by
// the tracker's mutex, and of no use any more once it has ended: should the Session
// come back, it gets another one.
type session struct {
	id    Session
	open  []*connection
	lost  time.Time // when there was none left, if there is none
	stays []stay

	said    uint64    // number of the page's newest word
	hidden  bool      // by the page's word
	shown   time.Time // when that was over
	renewed time.Time

	timer *time.Timer // to review it; nil if no time limit runs
	ended bool
}

// A connection is one stream of a session's.
type connection struct {
	source *sse.EventSource
	places []*place
}

// A stay is a session's being in a place.
type stay struct {
	at   *place
	open int       // connections
	lost time.Time // when there was none left, if there is none
}

// enter adds a place, and reports whether the session was not there yet.
func (p *session) enter(at *place) bool {
	if slices.ContainsFunc(p.stays, func(s stay) bool { return s.at == at }) {
		return false
	}
	p.stays = append(p.stays, stay{at: at})
	return true
}

// connect adds a connection, whose places have been entered.
func (p *session) connect(c *connection) {
	p.renewed = time.Now()
	p.open = append(p.open, c)
	for i := range p.stays {
		if slices.Contains(c.places, p.stays[i].at) {
			p.stays[i].open++
		}
	}
}

// lost is called when a connection's source has ended.
func (t *Tracker) lost(p *session, c *connection) {
	t.mu.Lock()
	var open []*connection
	if at := slices.Index(p.open, c); at >= 0 { // else the session has ended before
		now := time.Now()
		p.open = slices.Delete(p.open, at, at+1)
		p.lost = now
		for i := range p.stays {
			if s := &p.stays[i]; slices.Contains(c.places, s.at) {
				s.open--
				s.lost = now
			}
		}
		open = t.review(p)
	}
	t.mu.Unlock()
	t.finish(open)
}

// review ends what has had its time, and sees to it that the next such moment is
// not missed. It returns connections to be closed.
func (t *Tracker) review(p *session) []*connection {
	if p.ended {
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
	if t.Renewal > 0 && over(p.renewed.Add(t.renewal(p))) || len(p.open) == 0 && over(t.grace(p, p.lost)) {
		return t.end(p, false)
	}
	p.stays = slices.DeleteFunc(p.stays, func(s stay) bool {
		if s.open > 0 || !over(t.grace(p, s.lost)) {
			return false
		}
		t.exit(p, s.at, false)
		return true
	})
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
	open := t.review(p)
	t.mu.Unlock()
	t.finish(open)
}

// grace returns until when a connection that was lost may come back. A page that
// was hidden, and has no stream therefore, needs time for that from when it is
// seen again.
func (t *Tracker) grace(p *session, lost time.Time) time.Time {
	grace := orDefault(t.Grace, defaultGrace)
	if p.hidden && t.Hidden >= 0 {
		return lost.Add(orDefault(t.Hidden, defaultHidden))
	}
	if p.shown.After(lost) {
		lost = p.shown
	}
	return lost.Add(grace)
}

// renewal returns how long a page may be silent.
func (t *Tracker) renewal(p *session) time.Duration {
	if p.hidden && t.Hidden >= 0 {
		return max(t.Renewal, orDefault(t.Hidden, defaultHidden))
	}
	return t.Renewal
}

// orDefault returns what an option means: 0 is the default, negative is nothing.
func orDefault(option, otherwise time.Duration) time.Duration {
	if option == 0 {
		return otherwise
	}
	return max(option, 0)
}

// end ends a session, with or without a goodbye, and returns the connections that
// it still has. The caller closes them once it has given back the lock.
func (t *Tracker) end(p *session, goodbye bool) []*connection {
	p.ended = true
	delete(t.sessions, p.id)
	t.news = append(t.news, news{left: p.id})
	for _, s := range p.stays {
		t.exit(p, s.at, goodbye)
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	open := p.open
	p.open, p.stays = nil, nil
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
