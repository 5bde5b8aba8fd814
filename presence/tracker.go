package presence

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

const (
	defaultGrace       = 8 * time.Second
	defaultHiddenGrace = 5 * time.Minute
	defaultLease       = 10 * time.Second

	// leaveDelay is how long a user stays in a place after the goodbye of the last page
	// there. A user who goes to another page of the program, or reloads one, says goodbye
	// too, and should not be seen leaving and joining. It is not longer than the grace.
	leaveDelay = time.Second

	maxName   = 256 // bytes of a user and of a place
	maxPlaces = 256 // that a session may be in at once
)

// ErrInvalidPlace means that the name of a place is longer than 256 bytes, or that the
// session would be in more than 256 places.
var ErrInvalidPlace = errors.New("presence: place name too long, or too many places")

// A Change reports that a user joined a place (with the first session there) or left it
// (with the last).
type Change struct {
	Place, User string
	Joined      bool // false: left
}

// A Tracker knows which sessions are present, and in which places. The zero value is
// ready to use. Fields must not be changed after first use. Its methods may be called
// from any goroutine.
type Tracker struct {
	// Key signs the tokens; it should be 32 random bytes. Tokens are valid in all
	// processes that have the same key, and after a restart if the key is kept. Nil: a
	// random key, so that pages from before a restart have to be reloaded.
	Key []byte

	// User, if not nil, returns the user who sends a request, for example from a cookie.
	// A token that was issued to another user is then refused. Without User, anyone who
	// obtains a token, which is part of URLs, can act as its page.
	User func(*http.Request) string

	// Grace is how long a session lasts after its last connection was lost, and how long
	// it stays in a place after its last connection there was lost. Browsers reconnect
	// after 3 to 5 s, also when a server that shuts down has sent them a reconnection
	// time. 0: 8 s; negative: no grace.
	Grace time.Duration

	// HiddenGrace is the grace of a page that has reported that it is hidden: htmx 4 has
	// no stream then, and a user may work in other tabs for a long time. 0: 5 minutes;
	// negative: the same as Grace.
	HiddenGrace time.Duration

	// MaxSilence, if positive, is how long a page may be silent, connected or not,
	// before its session ends; see [Tracker.ServeHTTP]. It is for proxies that keep
	// connections to the server when their clients are gone. Give the page two tries:
	// set data-renew in the script's tag to half of MaxSilence. Browsers run the timers
	// of a hidden page once a minute at best; for a hidden page HiddenGrace applies if it
	// is longer. With a Store each message is a write.
	MaxSilence time.Duration

	// Changed, if not nil, is called with each change, in order and never concurrently:
	// by a goroutine that calls the tracker's methods, or by a timer's. Changed may call
	// the tracker's methods, and may see a state that is newer than the change. While
	// Changed blocks, further changes wait.
	Changed func(Change)

	// MembersEvent makes the event of [Tracker.Watch]. Nil: JSON. It may be called by
	// several goroutines at once.
	MembersEvent func(place string, members []Member) sse.Event

	// Store, if not nil, connects the tracker to the trackers of other processes with
	// the same Store: a session that is present at one is present at all of them. They
	// need the same Key. A store is for one tracker in each process. A tracker with a
	// Store must be closed.
	Store backplane.Store

	// Lease is how long the sessions of a process that is cut off, or has died, remain
	// present at the others; 0: 10 s. The store measures it, in whole seconds.
	Lease time.Duration

	once   sync.Once
	random []byte // assigned by once; the key if the program sets none

	mu        sync.Mutex // taken before the mutexes of sources
	sessions  map[Session]*session
	places    map[string]*place
	watched   map[string]*watch // by place
	leave     []*func(Session)
	notices   []notice // not reported yet
	notifying bool     // a goroutine is reporting them
	counter   uint64   // numbers lives and messages
	closed    bool

	shared
}

// Connect makes the session present, in the given places, until the source ends and the
// grace has passed. It may be called several times for one session, with other sources
// and other places, and for a session that has left. It does not wait for the Store.
//
// The error is [ErrInvalidPlace]; [ErrInvalidToken] if the session has no page, or names
// that are too long; [sse.ErrClosed]; or the reason why the source has already ended. Then
// nothing has changed.
func (t *Tracker) Connect(source *sse.EventSource, s Session, places ...string) error {
	if err := checkSession(s, places); err != nil {
		return err
	}
	if err := ended(source); err != nil {
		return fmt.Errorf("presence: connect: %w", err)
	}
	t.start()
	c := &connection{source: source}
	t.mu.Lock()
	if err := t.admitLocked(s, places); err != nil {
		t.mu.Unlock()
		return err
	}
	p := t.sessionLocked(s)
	before := len(p.stays)
	for _, name := range places {
		if stay := t.enterLocked(p, name); !slices.Contains(c.places, stay.at) {
			if !stay.here {
				stay.here = true
				before = -1
			}
			c.places = append(c.places, stay.at)
		}
	}
	if p.life == 0 {
		t.arriveLocked(p)
		before = -1
	}
	p.connect(c)
	if before != len(p.stays) {
		t.writeLocked(p) // the record is outdated
	}
	t.expireLocked(p)
	t.mu.Unlock()
	source.AfterFunc(func() { t.connectionLost(c) })
	t.notify()
	return nil
}

// ended returns why a source has ended, or nil.
func ended(source *sse.EventSource) error {
	if source.ReadyState() == sse.Open {
		return nil
	}
	return cmp.Or(source.Err(), sse.ErrClosed)
}

// checkSession returns an error if a session or a list of places is invalid.
func checkSession(s Session, places []string) error {
	switch {
	case s.Page == "":
		return fmt.Errorf("%w: session without a page", ErrInvalidToken)
	case len(s.Page) > maxName || len(s.User) > maxName:
		return fmt.Errorf("%w: session's user or page longer than %d bytes", ErrInvalidToken, maxName)
	case len(places) > maxPlaces:
		return fmt.Errorf("%w: %d places, limit %d", ErrInvalidPlace, len(places), maxPlaces)
	}
	for _, name := range places {
		if len(name) > maxName {
			return fmt.Errorf("%w: a name is %d bytes long, limit %d", ErrInvalidPlace, len(name), maxName)
		}
	}
	return nil
}

// admitLocked returns an error if a session cannot be in the places in addition to those
// where it is now.
func (t *Tracker) admitLocked(s Session, places []string) error {
	if t.closed {
		return fmt.Errorf("presence: connect: %w", sse.ErrClosed)
	}
	p := t.sessions[s]
	if p == nil || len(p.stays)+len(places) <= maxPlaces {
		return nil
	}
	here := make(map[string]bool)
	for _, stay := range p.stays {
		if stay.here {
			here[stay.at.name] = true
		}
	}
	for _, name := range places {
		here[name] = true
	}
	if len(here) > maxPlaces {
		return fmt.Errorf("%w: %d places, limit %d", ErrInvalidPlace, len(here), maxPlaces)
	}
	return nil
}

// sessionLocked returns the state of a session, which is made if there is none.
func (t *Tracker) sessionLocked(s Session) *session {
	p := t.sessions[s]
	if p == nil {
		p = &session{id: s}
		if t.sessions == nil {
			t.sessions = make(map[Session]*session)
			t.places = make(map[string]*place)
		}
		t.sessions[s] = p
	}
	return p
}

// Leave ends a session at once, as the goodbye of its page does. Streams that are still
// open are closed, since browsers keep the streams of a page that was left for a while;
// other processes close theirs as soon as they see the goodbye. When Leave returns, the
// end has been reported in this process, unless another goroutine is reporting it. If the
// session is not present, Leave does nothing.
func (t *Tracker) Leave(s Session) {
	t.start()
	t.mu.Lock()
	var open []*connection
	if p := t.sessions[s]; p != nil && !t.closed {
		open = t.goodbyeLocked(p)
	}
	t.mu.Unlock()
	t.notifyAndClose(open)
}

// Present reports whether a session is present: it is connected, or its grace has not
// passed yet.
func (t *Tracker) Present(s Session) bool {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[s] != nil
}

// Users returns the users in a place, sorted and without duplicates.
func (t *Tracker) Users(place string) []string {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.places[place]
	if at == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(at.users))
}

// OnLeave arranges to call f with each session that has ended, in order and never
// concurrently, neither with itself nor with Changed; the changes that follow from the
// end are reported afterwards. Use it to release resources tied to a session. A session
// that has ended may be present again by the time of the call.
//
// Calling stop ends this; a call of f may still be running when stop returns.
func (t *Tracker) OnLeave(f func(Session)) (stop func()) {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave = append(slices.Clip(t.leave), &f)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.leave = slices.DeleteFunc(slices.Clone(t.leave), func(g *func(Session)) bool { return g == &f })
	}
}

// A message is what a page has reported about itself.
type message struct {
	state string // empty: as before
	data  []byte // JSON; nil: as before
	n     uint64 // numbers the page's messages from 1, so that late ones can be ignored
}

// receive handles a page's message. It reports whether the session was present.
func (t *Tracker) receive(s Session, m message) bool {
	t.start()
	t.mu.Lock()
	p := t.sessions[s]
	if p == nil || t.closed {
		t.mu.Unlock()
		return false
	}
	if m.data != nil && m.state != gone {
		p.renewed = time.Now()
		t.setDataLocked(p, m.data, m.n)
	}
	var open []*connection
	switch {
	case m.state == "" || !p.isNews(m.n):
	case m.state == gone:
		open = t.goodbyeLocked(p)
	default:
		p.setHidden(m.state == hidden)
		t.counter++
		p.heard = t.counter
		t.writeLocked(p)
	}
	if p.life != 0 {
		open = append(open, t.expireLocked(p)...)
	}
	t.mu.Unlock()
	t.notifyAndClose(open)
	return true
}
