package locks_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/internal/sessions"
	"example.org/sse/locks"
	"example.org/sse/presence"
	"example.org/sse/ssetest"
)

const grace = 5 * time.Second

// A site has pages with streams: "/events?page=TOKEN" makes a session present.
type site struct {
	t       *testing.T
	tracker *presence.Tracker
	table   *locks.Table[int] // whose changes the pages get; nil: none
	server  *ssetest.Server
}

// newSite returns a site whose tracker has a store, unless that is nil.
func newSite(t *testing.T, store backplane.Store) *site {
	s := &site{t: t, tracker: &presence.Tracker{Grace: grace, Key: []byte("key"), Store: store}}
	s.server = ssetest.NewMemoryServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := s.tracker.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			s.tracker.Connect(source, session)
			if s.table != nil {
				s.table.Add(source)
			}
		})
	}))
	return s
}

// A page is one page of a user, with its stream.
type page struct {
	presence.Session
	token  string
	stream *ssetest.Stream
}

// open opens a page and waits until its session is present.
func (s *site) open(user string) *page {
	s.t.Helper()
	p := new(page)
	p.token, p.Session = s.tracker.Token(user)
	s.connect(p)
	return p
}

func (s *site) connect(p *page) {
	s.t.Helper()
	p.stream = s.server.Open(s.t, "/events?page="+p.token)
	synctest.Wait()
}

// line returns a change in the form that tests compare: "7 stolen: bob#3 from ann, carl waits".
func line(c locks.Change[int]) string {
	b := fmt.Sprint(c.Key, " ", c.Cause, ": ", name(c.Holder))
	if c.From != (presence.Session{}) {
		b += " from " + name(c.From)
	}
	for _, s := range c.Queue {
		b += ", " + name(s) + " waits"
	}
	if c.Reason != "" {
		b += ", since " + c.Reason
	}
	return b
}

func name(s presence.Session) string {
	if s.User == "" {
		return "nobody"
	}
	return s.User
}

// countHeld returns the number of locks that are held.
func countHeld[K comparable](table *locks.Table[K]) (n int) {
	for range table.All() {
		n++
	}
	return n
}

// bubble runs a test in fake time, with a table of integer keys that sends its changes
// to the site's pages as lines.
func bubble(t *testing.T, test func(t *testing.T, s *site, table *locks.Table[int])) {
	bubbleOn(t, nil, test)
}

// bubbleOn is like bubble, with a store.
func bubbleOn(t *testing.T, store backplane.Store, test func(t *testing.T, s *site, table *locks.Table[int])) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, store)
		defer s.tracker.Close()
		table := &locks.Table[int]{
			Presence:    s.tracker,
			Name:        "of the site",
			ChangeEvent: func(c locks.Change[int]) sse.Event { return sse.Event{Type: "lock", Data: line(c)} },
			SnapshotEvent: func(all []locks.Lock[int]) sse.Event {
				var b strings.Builder
				for _, l := range all {
					fmt.Fprintf(&b, "%d: %s\n", l.Key, name(l.Holder))
				}
				return sse.Event{Type: "locks", Data: b.String()}
			},
		}
		s.table = table
		defer table.Close()
		defer s.server.Close()
		test(t, s, table)
	})
}

// elsewhere returns the tracker of another process with the site's store.
func (s *site) elsewhere(t *testing.T) *presence.Tracker {
	tracker := &presence.Tracker{Grace: grace, Key: []byte("key"), Store: s.tracker.Store}
	t.Cleanup(func() { tracker.Close() })
	return tracker
}

// leased reports whether other processes regard a tracker's sessions as present.
func leased(tracker *presence.Tracker) bool {
	var a sessions.Access[presence.Session]
	tracker.Access(&a)
	return a.Leased()
}

// awaitReady waits until a table has read its store: a release of nothing does.
func awaitReady(t *testing.T, table *locks.Table[int]) {
	t.Helper()
	if _, err := table.Release(t.Context(), presence.Session{}, 0); !errors.Is(err, locks.ErrNotHeld) {
		t.Fatalf("got error %v, want %v", err, locks.ErrNotHeld)
	}
}

// received returns the lock events that the page got since the last call.
func (p *page) received() (lines []string) {
	synctest.Wait()
	return texts(p.stream.Events())
}

func texts(events []sse.Event) (lines []string) {
	for _, e := range events {
		if e.Type == "lock" {
			lines = append(lines, e.Data)
		}
	}
	return lines
}
