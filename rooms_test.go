package sse_test

import (
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"example.org/sse"
)

// What resuming and dispatching cost does not grow with the number of rooms.
func TestManyRooms(t *testing.T) {
	const resumes = 200
	type site struct {
		hub   *sse.Hub
		rooms []*sse.Set
	}
	build := func(rooms int) site {
		s := site{hub: &sse.Hub{History: 1 << 17, HistoryBytes: -1}}
		for i := range rooms {
			room := s.hub.Set(strconv.Itoa(i))
			room.Dispatch("", "quiet")
			s.rooms = append(s.rooms, room)
			if i%(rooms/100) == 0 {
				s.hub.Add(recorded(t, ""), strconv.Itoa(i))
			}
		}
		return s
	}
	// resume returns the median time that a source takes to resume in a room.
	resume := func(s site) time.Duration {
		id := lastID(t, s.hub)
		var took []time.Duration
		for i := range resumes {
			source := recorded(t, id)
			start := time.Now()
			s.hub.Add(source, strconv.Itoa(i%len(s.rooms)))
			took = append(took, time.Since(start))
			source.Close()
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	// dispatch returns the median time of a dispatch to the one busy room.
	dispatch := func(s site) time.Duration {
		var took []time.Duration
		for range 2000 {
			start := time.Now()
			s.rooms[0].Dispatch("", "busy")
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	few, many := build(100), build(20_000)
	var resumed, dispatched []float64
	for range 5 { // interleaved, since others may use the machine
		resumed = append(resumed, float64(resume(many))/float64(resume(few)))
		dispatched = append(dispatched, float64(dispatch(many))/float64(dispatch(few)))
	}
	slices.Sort(resumed)
	slices.Sort(dispatched)
	t.Logf("20,000 rooms to 100: resuming takes %.1f times as long, dispatching %.1f", resumed[2], dispatched[2])
	if resumed[2] > 5 || dispatched[2] > 5 {
		t.Errorf("with 200 times as many rooms resuming takes %.1f times as long and dispatching %.1f; want 5 at most", resumed[2], dispatched[2])
	}
	runtime.KeepAlive(few)
	runtime.KeepAlive(many)
}

// recorded is a source whose events nobody reads.
func recorded(t *testing.T, lastEventID string) *sse.EventSource {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header.Set("Last-Event-ID", lastEventID)
	source, err := sse.Accept(httptest.NewRecorder(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

// lastID returns the id of a hub's newest event.
func lastID(t *testing.T, hub *sse.Hub) string {
	t.Helper()
	w := httptest.NewRecorder()
	source, err := sse.Accept(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	hub.Add(source, "for ids")
	hub.Set("for ids").Dispatch("", "x")
	source.Close()
	e, err := newDecoder(w.Body).next()
	if err != nil {
		t.Fatal(err)
	}
	return e.id
}
