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
)

const (
	defaultGrace  = 5 * time.Second
	defaultHidden = 5 * time.Minute
	defaultSettle = time.Second
)

// ErrPlace says that the name of a place is longer than [MaxName].
var ErrPlace = errors.New("presence: name of a place too long")

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
	// back after 3 to 5 s. 0: 5 s, negative: not at all.
	Grace time.Duration

	// Hidden is the same for a page that has said that it is hidden: htmx 4 has
	// no stream then, and a user may have other tabs in front for long. 0: 5
	// minutes, negative: as Grace.
	Hidden time.Duration

	// Settle is how long a user is still in a place after the goodbye of the last
	// page there: who goes from one page to the next, or loads it again, says
	// goodbye too, and is not to be seen leaving and joining. The session itself
	// ends at once. 0: 1 s, negative: not at all.
	Settle time.Duration

	// Renewal, if positive, is how often a page has to say that it is still there,
	// connected or not; see [Tracker.ServeHTTP]. It is for proxies that keep
	// connections to the server when their clients are gone. Give the page two
	// tries: half of it in the script's tag. Browsers run the timers of a hidden
	// page once a minute at best; while it is hidden, Hidden is what counts if
	// that is longer.
	Renewal time.Duration

	// Changed, if not nil, is called with each change, in order and never twice
	// at once, by one of those who call the tracker's methods, or when time is up.
	// No lock is held, so that it may call them too; what it learns may be newer
	// than the change. While it waits for something, further changes wait for it.
	Changed func(Change)

	once sync.Once
	key  []byte // assigned by once

	mu       sync.Mutex // before those of sources
	sessions map[Session]*session
	places   map[string]*place
	leave    []*func(Session)
	news     []news // not told yet
	telling  bool   // somebody does it
}

// Connect makes the session present, in some places, until the source ends and
// its grace is over. It may be called several times for one session, with other
// sources and other places, and brings back one that has left.
//
// The error is [ErrPlace], [ErrToken] for a session without a page, or why the
// source has ended already; then nothing was changed.
func (t *Tracker) Connect(source *sse.EventSource, s Session, places ...string) error {
	if s.Page == "" {
		return fmt.Errorf("%w: a session without a page", ErrToken)
	}
	for _, name := range places {
		if len(name) > MaxName {
			return fmt.Errorf("%w: %d bytes of at most %d", ErrPlace, len(name), MaxName)
		}
	}
	if source.ReadyState() != sse.Open {
		err := source.Err()
		if err == nil {
			err = sse.ErrClosed
		}
		return fmt.Errorf("presence: connect: %w", err)
	}
	c := &connection{source: source}
	t.mu.Lock()
	p := t.sessions[s]
	if p == nil {
		p = &session{id: s}
		if t.sessions == nil {
			t.sessions = make(map[Session]*session)
			t.places = make(map[string]*place)
		}
		t.sessions[s] = p
	}
	for _, name := range places {
		c.places = append(c.places, t.enter(p, name))
	}
	p.connect(c)
	t.review(p)
	t.mu.Unlock()
	source.AfterFunc(func() { t.lost(p, c) })
	t.tell()
	return nil
}

// Leave ends a session at once: its page has said goodbye. Streams that it still
// has are closed; browsers keep those of a page that was left for a while. When it
// returns all have been told, unless another call was at it. If the session is not
// present, nothing happens.
func (t *Tracker) Leave(s Session) {
	t.mu.Lock()
	var open []*connection
	if p := t.sessions[s]; p != nil {
		open = t.end(p, true)
	}
	t.mu.Unlock()
	t.finish(open)
}

// Present reports whether a session is present: it is connected, or was a moment
// ago.
func (t *Tracker) Present(s Session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[s] != nil
}

// Len returns how many sessions are present.
func (t *Tracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions)
}

// Users returns who is in a place, sorted, each once.
func (t *Tracker) Users(place string) []string {
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
// many-th time it says something. What arrives after newer word is of no use; 0
// is not counted.
func (t *Tracker) say(s Session, state string, n uint64) {
	t.mu.Lock()
	var open []*connection
	p := t.sessions[s]
	if p != nil && (n == 0 || n > p.said) {
		p.said = max(p.said, n)
		if state == gone {
			open = t.end(p, true)
		} else {
			now := time.Now()
			if p.hidden && state == visible {
				p.shown = now
			}
			p.hidden = state == hidden
			p.renewed = now
			open = t.review(p)
		}
	}
	t.mu.Unlock()
	t.finish(open)
}
