package presence_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// A model is a simple tracker, which looks at everything once per second.
type model struct {
	*presence.Tracker // its options alone
	sessions          map[presence.Session]*modelSession
	goodbye           map[[2]string]time.Time // of the last in a place, by place and user
}

type modelSession struct {
	token   string
	n       int
	hidden  bool
	shown   time.Time
	renewed time.Time
	streams []*modelStream // since it is present, including ended ones
}

type modelStream struct {
	source *sse.EventSource
	places []string
	ended  time.Time
}

// until returns when a stream stops to count.
func (m *model) until(s *modelSession, st *modelStream) time.Time {
	switch {
	case st.ended.IsZero():
		return time.Now().Add(time.Hour)
	case s.hidden:
		return st.ended.Add(m.HiddenGrace)
	case s.shown.After(st.ended):
		return s.shown.Add(m.Grace)
	}
	return st.ended.Add(m.Grace)
}

// in reports whether a session is in a place; present, whether it is present at all.
func (m *model) in(s *modelSession, place string) bool {
	return m.counts(s, func(st *modelStream) bool { return slices.Contains(st.places, place) })
}

func (m *model) present(s *modelSession) bool {
	return m.counts(s, func(*modelStream) bool { return true })
}

func (m *model) counts(s *modelSession, of func(*modelStream) bool) bool {
	silence := m.MaxSilence
	if s.hidden {
		silence = max(silence, m.HiddenGrace)
	}
	if m.MaxSilence > 0 && time.Since(s.renewed) >= silence {
		return false
	}
	return slices.ContainsFunc(s.streams, func(st *modelStream) bool { return of(st) && time.Now().Before(m.until(s, st)) })
}

// users returns the users in a place.
func (m *model) users(place string) []string {
	users := make(map[string]bool)
	for id, s := range m.sessions {
		if m.in(s, place) {
			users[id.User] = true
		}
	}
	for left, when := range m.goodbye {
		if left[0] == place && time.Since(when) < m.LeaveDelay {
			users[left[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(users))
}

// bye ends a session with a goodbye.
func (m *model) bye(id presence.Session, places []string) {
	s := m.sessions[id]
	var were []string
	for _, place := range places {
		if m.in(s, place) {
			were = append(were, place)
		}
	}
	s.streams = nil
	for _, place := range were {
		others := false
		for id2, s2 := range m.sessions {
			others = others || id2.User == id.User && m.in(s2, place)
		}
		if !others {
			m.goodbye[[2]string{place, id.User}] = time.Now()
		}
	}
}

// With random connects, ends, goodbyes, messages and pauses, the users present and the
// reported changes are at each second those of the model.
func TestModel(t *testing.T) {
	for _, renewal := range []time.Duration{0, 10 * time.Second} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("renewal %v, seed %d", renewal, seed), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					tr := &presence.Tracker{Grace: 5 * time.Second, HiddenGrace: 30 * time.Second, LeaveDelay: 2 * time.Second, MaxSilence: renewal}
					follow(t, []*presence.Tracker{tr}, newModel(tr), rand.New(rand.NewPCG(seed, 1)))
				})
			})
		}
	}
}

// Three processes act as one, for streams, messages and goodbyes to any of them: each
// has, and reports, the state of the model.
func TestSharedModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store backplane.Memory
				trackers := make([]*presence.Tracker, 3)
				for i := range trackers {
					trackers[i] = &presence.Tracker{Grace: 5 * time.Second, HiddenGrace: 30 * time.Second, LeaveDelay: 2 * time.Second, Key: []byte("one"), Store: &store}
					defer trackers[i].Close()
				}
				follow(t, trackers, newModel(trackers[0]), rand.New(rand.NewPCG(seed, 2)))
			})
		})
	}
}

func newModel(tr *presence.Tracker) *model {
	return &model{Tracker: tr, sessions: make(map[presence.Session]*modelSession), goodbye: make(map[[2]string]time.Time)}
}

func follow(t *testing.T, trackers []*presence.Tracker, m *model, r *rand.Rand) {
	tr := trackers[0]
	var places []string
	for i := range 10 {
		places = append(places, fmt.Sprint("place ", i))
	}
	var ids []presence.Session
	for i := range 50 {
		token := tr.Token(fmt.Sprint("user ", i%20))
		id, err := tr.Session(request(token))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		m.sessions[id] = &modelSession{token: token}
	}
	var recorders []*recorder
	for _, tr := range trackers {
		recorders = append(recorders, record(tr))
	}
	before := make(map[string]bool) // what was present at the last look: "user@place", "page"
	look := func(what string) {
		t.Helper()
		synctest.Wait()
		now := make(map[string]bool)
		for _, place := range places {
			want := m.users(place)
			for i, tr := range trackers {
				if got := tr.Users(place); !slices.Equal(got, want) {
					t.Fatalf("after %s: in %s at %d are %q, want %q", what, place, i, got, want)
				}
			}
			for _, user := range want {
				now[user+"@"+place] = true
			}
		}
		n := 0
		for _, id := range ids {
			s := m.sessions[id]
			present := m.present(s)
			for i, tr := range trackers {
				if got := tr.Present(id); got != present {
					t.Fatalf("after %s: %v present at %d is %v, want %v", what, id, i, got, present)
				}
			}
			if present {
				s.streams = slices.DeleteFunc(s.streams, func(st *modelStream) bool { return !time.Now().Before(m.until(s, st)) })
				now[id.Page] = true
				n++
				continue
			}
			for _, st := range s.streams {
				if st.source.ReadyState() == sse.Open {
					t.Fatalf("after %s: %v has a stream and is not present, want it present", what, id)
				}
			}
			*s = modelSession{token: s.token, n: s.n}
		}
		for i, tr := range trackers {
			if tr.Len() != n {
				t.Fatalf("after %s: %d sessions at %d, want %d", what, tr.Len(), i, n)
			}
		}
		var want []string
		for key := range before {
			if !now[key] && len(key) == len(ids[0].Page) {
				want = append(want, "end "+key)
			} else if !now[key] {
				want = append(want, "-"+key)
			}
		}
		for key := range now {
			if !before[key] && len(key) != len(ids[0].Page) {
				want = append(want, "+"+key)
			}
		}
		slices.Sort(want)
		for i, r := range recorders {
			got := r.all()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("after %s: process %d reported %q, want %q", what, i, got, want)
			}
		}
		before = now
	}
	look("the beginning")
	for range 1500 {
		tr := trackers[r.IntN(len(trackers))]
		id := ids[r.IntN(len(ids))]
		s := m.sessions[id]
		what := fmt.Sprint(id.User, " ")
		switch r.IntN(8) {
		case 0, 1:
			st := &modelStream{source: connect(t)}
			for range r.IntN(4) {
				st.places = append(st.places, places[r.IntN(len(places))])
			}
			what += fmt.Sprint("connects in ", st.places)
			if err := tr.Connect(st.source, id, st.places...); err != nil {
				t.Fatal(err)
			}
			s.streams = append(s.streams, st)
			s.renewed = time.Now()
		case 2, 3:
			what += "loses a stream"
			for _, st := range s.streams {
				if st.ended.IsZero() {
					st.source.Close()
					st.ended = time.Now()
					break
				}
			}
		case 4:
			what += "says goodbye"
			if r.IntN(2) == 0 {
				tr.Leave(id)
			} else if status := say(tr, s.token, "state=gone"); status != http.StatusNoContent {
				t.Fatalf("status %d", status)
			}
			m.bye(id, places)
		case 5:
			state := [2]string{"visible", "hidden"}[r.IntN(2)]
			what += "is " + state
			s.n++
			say(tr, s.token, fmt.Sprintf("state=%s&n=%d", state, s.n))
			say(tr, s.token, fmt.Sprintf("state=gone&n=%d", r.IntN(s.n)+1)) // late: a newer message was sent
			if m.present(s) {
				if s.hidden && state == "visible" {
					s.shown = time.Now()
				}
				s.hidden, s.renewed = state == "hidden", time.Now()
			}
		case 6, 7:
			what = "a second"
			time.Sleep(time.Second) // fake
		}
		look(what)
	}
	for _, id := range ids {
		tr.Leave(id)
	}
	step(10 * time.Second)
	if tr.Len() != 0 {
		t.Errorf("%d are left", tr.Len())
	}
}
