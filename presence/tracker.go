package presence

import (
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
	defaultGrace  = 8 * time.Second
	defaultHidden = 5 * time.Minute
	defaultSettle = time.Second
	defaultLease  = 10 * time.Second
)

// MaxPlaces is how many places a session may be in at once.
const MaxPlaces = 256

var (
	// ErrInvalidPlace says that the name of a place is longer than [MaxName], or that
	// the session would be in more than [MaxPlaces].
	ErrInvalidPlace = errors.New("presence: name of a place too long, or too many of them")

	// ErrClosed says that the tracker has been closed.
	ErrClosed = errors.New("presence: closed")
)

// A Change is a user's coming to a place, or leaving it: the first of his
// sessions there has come, or the last has gone.
type Change struct {
	Place, User string
	Joined      bool // else left
}

// A Tracker knows which sessions are present, and in which places. The zero value
// is ready to use; the exported fields may be set before first use and not after.
// Its methods may be called from any goroutine.
type Tracker struct {
	// Key signs the tokens; 32 random bytes are right. Tokens are good in all
	// processes that have the same key, and after a restart if it is kept. Nil: a
	// random one, so that pages of before a restart have to be loaded again.
	Key []byte

	// User, if not nil, returns the user who sends a request, by a cookie for
	// example. A token that was minted for another user is then refused. Without
	// it, whoever gets hold of a token, which is part of URLs, can stand in for
	// its page.
	User func(*http.Request) string

	// Grace is how long a session stays after its last connection was lost, and
	// it stays in a place so long after it lost the last one there. Browsers come
	// back after 3 to 5 s, and so do those that a server which shuts down has told
	// when. 0: 8 s, negative: not at all.
	Grace time.Duration

	// HiddenGrace is the same for a page that has said that it is hidden: htmx 4 has
	// no stream then, and a user may have other tabs in front for long. 0: 5
	// minutes, negative: as Grace.
	HiddenGrace time.Duration

	// LeaveDelay is how long a user is still in a place after the goodbye of the last
	// page there: who goes from one page to the next, or loads it again, says
	// goodbye too, and is not to be seen leaving and joining. The session itself
	// ends at once. 0: 1 s, negative: not at all.
	LeaveDelay time.Duration

	// MaxSilence, if positive, is how often a page has to say that it is still there,
	// connected or not; see [Tracker.ServeHTTP]. It is for proxies that keep
	// connections to the server when their clients are gone. Give the page two
	// tries: half of it in the script's tag. Browsers run the timers of a hidden
	// page once a minute at best; while it is hidden, HiddenGrace is what counts if
	// that is longer. With a Store each is a write to that.
	MaxSilence time.Duration

	// Changed, if not nil, is called with each change, in order and never twice
	// at once, by one of those who call the tracker's methods, or when time is up.
	// No lock is held, so that it may call them too; what it learns may be newer
	// than the change. While it waits for something, further changes wait for it.
	Changed func(Change)

	// Store, if not nil, joins the tracker to those of other processes on the same
	// store and Name: who is present at one is present at all. They need one Key.
	// A tracker with a Store must be closed.
	Store backplane.Store

	// Name tells the tracker's records from others in the store. It has at most
	// [MaxName] bytes.
	Name string

	// Lease is how long a process that is cut off, or has died, is believed by the
	// others; 0: 10 s. The store counts it, in whole seconds.
	Lease time.Duration

	once sync.Once
	key  []byte // assigned by once

	mu       sync.Mutex // before those of sources
	sessions map[Session]*session
	places   map[string]*place
	leave    []*func(Session)
	news     []news // not told yet
	telling  bool   // somebody does it
	counter  uint64 // of lives and words, which grow
	closed   bool

	shared
}

// Connect makes the session present, in some places, until the source ends and
// its grace is over. It may be called several times for one session, with other
// sources and other places, and brings back one that has left. It does not wait
// for the Store.
//
// The error is [ErrInvalidPlace], [ErrInvalidToken] for a session without a page or with names
// that are too long, [ErrClosed], or why the source has ended already; then
// nothing was changed.
func (t *Tracker) Connect(source *sse.EventSource, s Session, places ...string) error {
	if err := check(s, places); err != nil {
		return err
	}
	if source.ReadyState() != sse.Open {
		err := source.Err()
		if err == nil {
			err = sse.ErrClosed
		}
		return fmt.Errorf("presence: connect: %w", err)
	}
	t.start()
	c := &connection{source: source}
	t.mu.Lock()
	if err := t.admit(s, places); err != nil {
		t.mu.Unlock()
		return err
	}
	p := t.session(s)
	before := len(p.stays)
	for _, name := range places {
		if stay := t.enter(p, name); !slices.Contains(c.places, stay.at) {
			if !stay.here {
				stay.here = true
				before = -1
			}
			c.places = append(c.places, stay.at)
		}
	}
	if p.life == 0 {
		t.arrive(p)
		before = -1
	}
	p.connect(c)
	if before != len(p.stays) {
		t.write(p) // what others know is no longer so
	}
	t.review(p)
	t.mu.Unlock()
	source.AfterFunc(func() { t.lost(c) })
	t.tell()
	return nil
}

// check returns why a session, or places, cannot be.
func check(s Session, places []string) error {
	switch {
	case s.Page == "":
		return fmt.Errorf("%w: a session without a page", ErrInvalidToken)
	case len(s.Page) > MaxName || len(s.User) > MaxName:
		return fmt.Errorf("%w: a session with a user or a page of more than %d bytes", ErrInvalidToken, MaxName)
	case len(places) > MaxPlaces:
		return fmt.Errorf("%w: %d of at most %d", ErrInvalidPlace, len(places), MaxPlaces)
	}
	for _, name := range places {
		if len(name) > MaxName {
			return fmt.Errorf("%w: %d bytes of at most %d", ErrInvalidPlace, len(name), MaxName)
		}
	}
	return nil
}

// admit returns why a session cannot be in places as well as where it is now.
func (t *Tracker) admit(s Session, places []string) error {
	if t.closed {
		return fmt.Errorf("presence: connect: %w", ErrClosed)
	}
	p := t.sessions[s]
	if p == nil || len(p.stays)+len(places) <= MaxPlaces {
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
	if len(here) > MaxPlaces {
		return fmt.Errorf("%w: %d of at most %d", ErrInvalidPlace, len(here), MaxPlaces)
	}
	return nil
}

// session returns what is known of a session that is present from now on.
func (t *Tracker) session(s Session) *session {
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

// Leave ends a session at once: its page has said goodbye. Streams that it still
// has are closed, in other processes as well, as soon as they hear of it; browsers
// keep those of a page that was left for a while. When it returns all have been
// told in this process, unless another call was at it. If the session is not
// present, nothing happens.
func (t *Tracker) Leave(s Session) {
	t.start()
	t.mu.Lock()
	var open []*connection
	if p := t.sessions[s]; p != nil && !t.closed {
		open = t.bye(p)
	}
	t.mu.Unlock()
	t.finish(open)
}

// Present reports whether a session is present: it is connected, or was a moment
// ago.
func (t *Tracker) Present(s Session) bool {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[s] != nil
}

// Len returns how many sessions are present.
func (t *Tracker) Len() int {
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions)
}

// Users returns who is in a place, sorted, each once.
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
// twice at once, as Changed; before Changed is called with what follows from it.
// It is for what belongs to a session and must be freed with it. A session that
// has ended may be back by the time of the call.
//
// Calling stop takes f back; a call of it may be going on then.
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

// say is what a page has said of itself: which state it is in, and for the how
// many-th time it says something.
func (t *Tracker) say(s Session, state string, n uint64) {
	t.start()
	t.mu.Lock()
	var open []*connection
	if p := t.sessions[s]; p != nil && !t.closed && p.heeds(n) {
		if state == gone {
			open = t.bye(p)
		} else {
			p.say(state == hidden)
			t.counter++
			p.word = t.counter
			t.write(p)
			open = t.review(p)
		}
	}
	t.mu.Unlock()
	t.finish(open)
}
