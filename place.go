package sse

import "time"

// placeType is the type of an event that brings nothing but an id.
const placeType = "last-event-id"

// The id that a client would come back with is that of the last event that it was
// sent. In a set where nothing happens it would one day be too old to resume
// from, though nothing was missed, if other sets of the log go on. So the members
// are sent a newer one in time, on an event of a type that nobody listens to: an
// id without data is no event, and not every browser sends it back.

// advance sends the members of a set the id of the newest event, because the
// event that they have the id of is kept no longer. The caller holds l.mu.
func (l *log) advance(s *Set) {
	if s.open == 0 || l.floor >= l.head {
		return // nobody is there, or nothing has happened since
	}
	e := s.fill(stamps.Add(1), l.placeEvent())
	e.about.key = placeType
	s.filled(e)
	l.stand(s, l.head)
	s.startDelivery()
}

// placeEvent returns an event with the id of the newest event. The caller holds
// l.mu.
func (l *log) placeEvent() chunk {
	buf, err := Event{Type: placeType}.encode(idRoom)
	if err != nil {
		panic(err) // it is always the same
	}
	return l.frame(buf, true)
}

// stand notes that members of the set have the id of the event with that stamp, so
// that they are sent another one when it is kept no longer. The caller holds l.mu.
func (l *log) stand(s *Set, stamp uint64) {
	e := &entry{stamp: stamp, place: true, at: time.Now()}
	if l.newest == nil || l.newest.stamp <= stamp {
		l.link(s, e)
		return
	}
	// Among its like, for the floor only rises. There is an event after it.
	before := &l.oldest
	for (*before).stamp <= stamp {
		before = &(*before).newer
	}
	e.set, e.at = s, (*before).at
	e.newer, *before = *before, e
	s.newest = e
}

// standAt is advance for members that begin to read, of one source that has the id
// of an event with that stamp, or none that is any good. On a shared log, where
// clients come from other processes, the latter are given one. The caller holds
// l.mu.
func (l *log) standAt(members []*member, stamp uint64, resumes bool) (event chunk) {
	if l.keep < 0 {
		return nil
	}
	if !resumes {
		if l.shared == nil || l.at.Seq == 0 {
			return nil
		}
		stamp = l.head
		event = l.placeEvent()
	}
	for _, m := range members {
		// If the set's newest event is a later one, the source is sent that.
		if s := m.set; s.newest == nil || s.newest.stamp < stamp {
			l.stand(s, stamp)
		}
	}
	return event
}
