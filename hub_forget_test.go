package sse_test

import (
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A set is there for as long as the program holds it, or it has members or
// history; then its name is forgotten.
func TestHubForgets(t *testing.T) {
	made := make(map[string]int)
	hub := sse.Hub{History: 1, NewSet: func(name string, _ *sse.Set) { made[name]++ }}
	collect := func(what string, left int) {
		t.Helper()
		eventually(t, 20*time.Second, what, func() bool {
			runtime.GC()
			return hub.Len() == left
		})
	}
	held := hub.Set("held")
	hub.Set("history").Dispatch("", "x")
	st := transports[0].serve(t, rooms(&hub)).openURL(at("members"))
	eventually(t, 5*time.Second, "a member", func() bool { return hub.Set("members").Len() == 1 })
	for i := range 1000 {
		hub.Set(strconv.Itoa(i))
	}
	collect("those that nobody needs are gone", 3)
	hub.Set("history")
	if hub.Set("held") != held || hub.Set("members").Len() != 1 || made["held"] != 1 || made["history"] != 1 || made["members"] != 1 {
		t.Errorf("made %v", made)
	}
	held.Dispatch("", "y") // takes the one place in the history
	collect("without history", 2)
	if n, _ := hub.Set("members").Dispatch("", "z"); n != 1 {
		t.Errorf("%d members", n)
	}
	st.want("message|z")
	runtime.KeepAlive(held)
	collect("not held any longer", 1)
	st.close()
	eventually(t, 5*time.Second, "the member is gone", func() bool { return hub.Set("members").Len() == 0 })
	hub.Set("other").Dispatch("", "x")
	collect("without members, for a while", 2)
	if hub.Set("history"); made["history"] != 2 {
		t.Errorf("a set that was forgotten was made %d times, want 2", made["history"])
	}
}

// A set without members is held for as long as history is, and no longer.
func TestHubForgetsIdle(t *testing.T) {
	hub := sse.Hub{HistoryAge: 100 * time.Millisecond}
	for i := range 20 {
		st := transports[i%len(transports)].serve(t, rooms(&hub)).openURL(at(strconv.Itoa(i)))
		eventually(t, 5*time.Second, "a member", func() bool { return hub.Set(strconv.Itoa(i)).Len() == 1 })
		st.close()
	}
	eventually(t, 20*time.Second, "no set is left", func() bool {
		runtime.GC()
		return hub.Len() == 0
	})
}

// A set that the hub has forgotten, and made again, has missed what the former one was
// sent.
func TestHubForgotten(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		hub := sse.Hub{HistoryAge: 100 * time.Millisecond, NewSet: func(_ string, s *sse.Set) {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("state", "") }
		}}
		site := tr.serve(t, rooms(&hub))
		st := site.openURL(at("a"))
		st.want("state|")
		hub.Set("a").Dispatch("", "1")
		hub.Set("a").Dispatch("", "2")
		st.want("message|1")
		id := st.lastID
		st.close()
		eventually(t, 20*time.Second, "the set is forgotten", func() bool {
			runtime.GC()
			return hub.Len() == 0
		})
		site.openURL(at("a"), "Last-Event-ID", id).want("state|")
	})
}

// A set is held from when its last reader has left, though it was idle before: its
// clients have missed nothing.
func TestHubHoldsIdleAgain(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		hub := sse.Hub{HistoryAge: 10 * time.Minute, NewSet: func(_ string, s *sse.Set) {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("state", "") }
		}}
		site := tr.serve(t, rooms(&hub))
		st := site.openURL(at("quiet"))
		st.want("state|")
		synctest.Wait()
		hub.Set("quiet").Dispatch("", "1")
		st.want("message|1")
		id := st.lastID
		for _, read := range []time.Duration{time.Minute, 20 * time.Minute, time.Minute} {
			st.close()
			synctest.Wait()
			hub.Set("busy").Dispatch("", "x")
			time.Sleep(8 * time.Minute) // fake; with no reader, for less than the set is held
			runtime.GC()
			st = site.openURL(at("quiet"), "Last-Event-ID", id)
			time.Sleep(read) // fake
		}
		hub.Set("quiet").Dispatch("", "2")
		st.want("message|2")
	})
}

// A name that is used again while its former set is being collected stays.
func TestHubNameAgain(t *testing.T) {
	var hub sse.Hub
	for range 100 {
		hub.Set("x")
		runtime.GC()
		again := hub.Set("x")
		runtime.GC()
		if hub.Set("x") != again {
			t.Fatal("two sets of one name")
		}
	}
}
