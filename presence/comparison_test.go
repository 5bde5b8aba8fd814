package presence_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
)

// A comparison runs trackers, which act as one, and a model side by side.
type comparison struct {
	t         *testing.T
	trackers  []*presence.Tracker
	recorders []*recorder
	model     *model
	r         *rand.Rand
	places    []string
	ids       []presence.Session
	before    map[string]bool // what was present at the last look: "user@place", "page"
}

// follow does 1500 random things to the trackers and the model, and compares them after
// each.
func follow(t *testing.T, trackers []*presence.Tracker, m *model, r *rand.Rand) {
	c := &comparison{t: t, trackers: trackers, model: m, r: r}
	tr := trackers[0]
	for i := range 10 {
		c.places = append(c.places, fmt.Sprint("place ", i))
	}
	for i := range 50 {
		token, id := tr.Token(fmt.Sprint("user ", i%20))
		c.ids = append(c.ids, id)
		m.sessions[id] = &modelSession{token: token}
	}
	for _, tr := range trackers {
		c.recorders = append(c.recorders, record(tr))
	}
	c.look("the beginning")
	for range 1500 {
		c.look(c.act())
	}
	for _, id := range c.ids {
		tr.Leave(id)
	}
	step(10 * time.Second)
	for _, place := range c.places {
		if got := tr.Members(place); len(got) > 0 {
			t.Errorf("%v is left in %s, want nobody", got, place)
		}
	}
}

// look compares the trackers with the model, and what they have reported with what has
// changed since the last look.
func (c *comparison) look(what string) {
	c.t.Helper()
	synctest.Wait()
	now := make(map[string]bool)
	for _, place := range c.places {
		want := c.model.users(place)
		for i, tr := range c.trackers {
			if got := tr.Users(place); !slices.Equal(got, want) {
				c.t.Fatalf("after %s: users in %s at process %d: got %q, want %q", what, place, i, got, want)
			}
			if got, want := tr.Members(place), c.model.members(place); !slices.EqualFunc(got, want, func(m presence.Member, s presence.Session) bool { return m.Session == s }) {
				c.t.Fatalf("after %s: members of %s at process %d: got %v, want %v", what, place, i, got, want)
			}
		}
		for _, user := range want {
			now[user+"@"+place] = true
		}
	}
	for _, id := range c.ids {
		if c.lookAt(id, what) {
			now[id.Page] = true
		}
	}
	want := c.changes(now)
	for i, r := range c.recorders {
		got := r.all()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			c.t.Fatalf("after %s: process %d reported %q, want %q", what, i, got, want)
		}
	}
	c.before = now
}

// lookAt compares one session with the model, and reports whether it is present.
func (c *comparison) lookAt(id presence.Session, what string) bool {
	c.t.Helper()
	s := c.model.sessions[id]
	present := c.model.present(s)
	for i, tr := range c.trackers {
		if got := tr.Present(id); got != present {
			c.t.Fatalf("after %s: %v at process %d: got present %v, want %v", what, id, i, got, present)
		}
	}
	if present {
		s.streams = slices.DeleteFunc(s.streams, func(st *modelStream) bool { return !time.Now().Before(c.model.until(s, st)) })
		return true
	}
	for _, st := range s.streams {
		if st.source.ReadyState() == sse.Open {
			c.t.Fatalf("after %s: %v has a stream and is not present, want it present", what, id)
		}
	}
	*s = modelSession{token: s.token, n: s.n}
	return false
}

// changes returns, sorted, what a tracker should have reported since the last look.
func (c *comparison) changes(now map[string]bool) (want []string) {
	page := len(c.ids[0].Page)
	for key := range c.before {
		if !now[key] && len(key) == page {
			want = append(want, "end "+key)
		} else if !now[key] {
			want = append(want, "-"+key)
		}
	}
	for key := range now {
		if !c.before[key] && len(key) != page {
			want = append(want, "+"+key)
		}
	}
	slices.Sort(want)
	return want
}

// act does one random thing to a tracker and to the model, and returns what it was.
func (c *comparison) act() string {
	c.t.Helper()
	tr := c.trackers[c.r.IntN(len(c.trackers))]
	id := c.ids[c.r.IntN(len(c.ids))]
	s := c.model.sessions[id]
	switch c.r.IntN(8) {
	case 0, 1:
		st := &modelStream{source: connect(c.t)}
		for range c.r.IntN(4) {
			st.places = append(st.places, c.places[c.r.IntN(len(c.places))])
		}
		if err := tr.Connect(st.source, id, st.places...); err != nil {
			c.t.Fatal(err)
		}
		s.streams = append(s.streams, st)
		s.renewed = time.Now()
		return fmt.Sprint(id.User, " connects in ", st.places)
	case 2, 3:
		for _, st := range s.streams {
			if st.ended.IsZero() {
				st.source.Close()
				st.ended = time.Now()
				break
			}
		}
		return id.User + " loses a stream"
	case 4:
		if c.r.IntN(2) == 0 {
			tr.Leave(id)
		} else if status := say(tr, s.token, "state=gone"); status != http.StatusNoContent {
			c.t.Fatalf("got status %d, want 204", status)
		}
		c.model.bye(id, c.places)
		return id.User + " says goodbye"
	case 5:
		state := [2]string{"visible", "hidden"}[c.r.IntN(2)]
		s.n++
		say(tr, s.token, fmt.Sprintf("state=%s&n=%d", state, s.n))
		say(tr, s.token, fmt.Sprintf("state=gone&n=%d", c.r.IntN(s.n)+1)) // late: a newer message was sent
		if c.model.present(s) {
			if s.hidden && state == "visible" {
				s.shown = time.Now()
			}
			s.hidden, s.renewed = state == "hidden", time.Now()
		}
		return id.User + " is " + state
	}
	time.Sleep(time.Second) // fake
	return "a second"
}
