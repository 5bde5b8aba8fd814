package presence_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
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
		if left[0] == place && time.Since(when) < time.Second {
			users[left[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(users))
}

// members returns the sessions in a place, sorted.
func (m *model) members(place string) (list []presence.Session) {
	for id, s := range m.sessions {
		if m.in(s, place) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b presence.Session) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Page, b.Page))
	})
	return list
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
					tr := &presence.Tracker{Grace: 5 * time.Second, HiddenGrace: 30 * time.Second, MaxSilence: renewal}
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
					trackers[i] = &presence.Tracker{Grace: 5 * time.Second, HiddenGrace: 30 * time.Second, Key: []byte("one"), Store: &store}
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
