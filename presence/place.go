package presence

import (
	"strings"
	"time"
)

// A place has the users that are in it. It is guarded by the tracker's mutex.
type place struct {
	name    string
	members []*session             // in no order
	users   map[string]int         // number of their sessions there
	going   map[string]*time.Timer // for users whose last page said goodbye less than leaveDelay ago
}

// enterLocked adds the session to the place of that name, if it is not there already,
// and returns its stay. The pointer is valid until the next call.
func (t *Tracker) enterLocked(p *session, name string) *stay {
	at := t.places[name]
	if at == nil {
		at = &place{name: strings.Clone(name), users: make(map[string]int)} // the name may be part of a request
		t.places[at.name] = at
	} else if s := p.stay(at); s != nil {
		return s
	}
	user := p.id.User
	if _, here := at.users[user]; !here {
		t.notices = append(t.notices, notice{change: Change{at.name, user, true}})
	} else if timer := at.going[user]; timer != nil {
		timer.Stop()
		delete(at.going, user)
	}
	at.users[user]++
	at.members = append(at.members, p)
	p.stays = append(p.stays, stay{at: at, index: len(at.members) - 1})
	t.showLocked(at.name)
	return &p.stays[len(p.stays)-1]
}

// exitLocked removes a session from a place. After a goodbye the user stays in the
// place for leaveDelay.
func (t *Tracker) exitLocked(p *session, s stay, goodbye bool) {
	at, user := s.at, p.id.User
	last := len(at.members) - 1
	if moved := at.members[last]; moved != p {
		at.members[s.index] = moved
		moved.stay(at).index = s.index
	}
	at.members[last] = nil
	at.members = at.members[:last]
	t.showLocked(at.name)
	if at.users[user]--; at.users[user] > 0 {
		return
	}
	delay := min(leaveDelay, orDefault(t.Grace, defaultGrace))
	if !goodbye || delay == 0 {
		t.removeUserLocked(at, user)
		return
	}
	if at.going == nil {
		at.going = make(map[string]*time.Timer)
	}
	var timer *time.Timer
	timer = time.AfterFunc(delay, func() {
		t.mu.Lock()
		if at.going[user] == timer && !t.closed { // otherwise the user is back
			delete(at.going, user)
			t.removeUserLocked(at, user)
		}
		t.mu.Unlock()
		t.notify()
	})
	at.going[user] = timer
}

// removeUserLocked removes a user from a place.
func (t *Tracker) removeUserLocked(at *place, user string) {
	delete(at.users, user)
	if len(at.users) == 0 {
		delete(t.places, at.name)
	}
	t.notices = append(t.notices, notice{change: Change{at.name, user, false}})
}
