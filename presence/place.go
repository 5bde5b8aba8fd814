package presence

import (
	"strings"
	"time"
)

// A place is where users are. It is guarded by the tracker's mutex.
type place struct {
	name  string
	users map[string]int         // their sessions there
	going map[string]*time.Timer // of users who have none left, but may be about to come back
}

// enter returns the session's stay in the place of that name, where it is from now
// on. The pointer is good until the next call.
func (t *Tracker) enter(p *session, name string) *stay {
	at := t.places[name]
	if at == nil {
		at = &place{name: strings.Clone(name), users: make(map[string]int)} // the name may be a part of a request
		t.places[at.name] = at
	} else if s := p.stay(at); s != nil {
		return s
	}
	user := p.id.User
	if _, here := at.users[user]; !here {
		t.news = append(t.news, news{change: Change{at.name, user, true}})
	} else if timer := at.going[user]; timer != nil {
		timer.Stop()
		delete(at.going, user)
	}
	at.users[user]++
	p.stays = append(p.stays, stay{at: at})
	return &p.stays[len(p.stays)-1]
}

// exit is the end of a session's being in a place. After a goodbye the user stays
// for a moment.
func (t *Tracker) exit(p *session, at *place, goodbye bool) {
	user := p.id.User
	if at.users[user]--; at.users[user] > 0 {
		return
	}
	settle := orDefault(t.LeaveDelay, defaultSettle)
	if !goodbye || settle == 0 {
		t.forget(at, user)
		return
	}
	if at.going == nil {
		at.going = make(map[string]*time.Timer)
	}
	var timer *time.Timer
	timer = time.AfterFunc(settle, func() {
		t.mu.Lock()
		if at.going[user] == timer && !t.closed { // else he has come back
			delete(at.going, user)
			t.forget(at, user)
		}
		t.mu.Unlock()
		t.tell()
	})
	at.going[user] = timer
}

// forget takes a user out of a place.
func (t *Tracker) forget(at *place, user string) {
	delete(at.users, user)
	if len(at.users) == 0 {
		delete(t.places, at.name)
	}
	t.news = append(t.news, news{change: Change{at.name, user, false}})
}
