package sse_test

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// A client of a and b that comes back with any id, one of c too, gets all that
// a and b were sent since, in that order, each event once, and then what is new.
func TestHubResume(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		hub := sse.Hub{NewSet: func(_ string, s *sse.Set) {
			s.Snapshot = func(s *sse.EventSource) ([]sse.Event, error) {
				if s.LastEventID() != "" {
					t.Errorf("a gap at %q", s.LastEventID())
				}
				return nil, nil
			}
		}}
		site := tr.serve(t, rooms(&hub))
		all := site.openURL(at("a", "b", "c"))
		synctest.Wait()
		const events = 40
		type sent struct{ name, id string }
		var log []sent
		for i := range events {
			name := string("abc"[rand.IntN(3)])
			hub.Set(name).Dispatch(name, strconv.Itoa(i))
			e, err := all.next()
			if err != nil {
				t.Fatal(err)
			}
			log = append(log, sent{name, e.id})
		}
		for last := range events {
			back := site.openURL(at("a", "b"), "Last-Event-ID", log[last].id)
			synctest.Wait()
			hub.Set("c").Dispatch("c", "not for it")
			hub.Set("b").Dispatch("b", "live")
			hub.Set("b").CloseAll()
			for i := last + 1; i < events; i++ {
				if log[i].name != "c" {
					back.want(log[i].name + "|" + strconv.Itoa(i))
				}
			}
			for range last + 1 { // those of the rounds before are missed too
				back.want("b|live")
			}
			back.wantEnd()
		}
	})
}

// Each set's snapshot is called once for a newcomer and after a gap, in the
// order of the names, and not for one that resumes.
func TestHubSnapshots(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		hub := sse.Hub{History: 3, NewSet: func(name string, s *sse.Set) {
			if name != "plain" {
				s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("snapshot", name) }
			}
		}}
		site := tr.serve(t, rooms(&hub))
		st := site.openURL(at("b", "plain", "a"))
		st.want("snapshot|b", "snapshot|a")
		synctest.Wait()
		var ids []string
		for i := range 5 {
			hub.Set([]string{"a", "plain"}[i%2]).Dispatch("", strconv.Itoa(i))
			e, err := st.next()
			if err != nil || e.data != strconv.Itoa(i) {
				t.Fatalf("got %q, error %v", e, err)
			}
			ids = append(ids, e.id)
		}
		for _, tt := range []struct {
			id   string
			want []string
		}{
			{ids[0], []string{"snapshot|a", "snapshot|b"}},
			{ids[1], []string{"message|2", "message|3", "message|4"}},
			{ids[4], nil},
			{"nonsense", []string{"snapshot|a", "snapshot|b"}},
		} {
			back := site.openURL(at("a", "plain", "b", "a"), "Last-Event-ID", tt.id)
			synctest.Wait()
			hub.Set("a").CloseAll()
			back.want(tt.want...)
			back.wantEnd()
		}
	})
}

// The history's bounds are the hub's, for all of its sets together; their own
// are not used.
func TestHubHistoryBounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		hub  *sse.Hub
		keep int // of 100 events of 1 kB, one a second
	}{
		{"count", &sse.Hub{History: 10}, 10},
		{"bytes", &sse.Hub{HistoryBytes: 10_500}, 10},
		{"age", &sse.Hub{HistoryAge: 10 * time.Second}, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := tt.hub
				hub.NewSet = func(_ string, s *sse.Set) {
					s.History, s.HistoryBytes, s.HistoryAge = 3, 3000, 3*time.Second
					s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("gap", "") }
				}
				site := transports[0].serve(t, rooms(hub))
				st := site.openURL(at("a", "b"))
				st.want("gap|", "gap|")
				synctest.Wait()
				var ids []string
				for i := range 100 {
					time.Sleep(time.Second)
					hub.Set([]string{"a", "a", "a", "b"}[i%4]).Dispatch("", strings.Repeat("x", 970))
					e, err := st.next()
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, e.id)
				}
				for back, want := range map[int]string{0: "", 1: "message", tt.keep: "message", tt.keep + 1: "gap", 99: "gap"} {
					st := site.openURL(at("a", "b"), "Last-Event-ID", ids[len(ids)-1-back])
					synctest.Wait()
					hub.Set("a").CloseAll()
					n := 0
					e, err := st.next()
					for typ := e.typ; err == nil; e, err = st.next() {
						if n++; typ != want {
							t.Errorf("%d events back: got %s, want %s", back, typ, want)
						}
					}
					if want == "message" && n != back || want == "gap" && n != 2 {
						t.Errorf("%d events back: got %d of %q", back, n, want)
					}
				}
			})
		})
	}
	t.Run("none, shared", func(t *testing.T) {
		overEach(t, func(t *testing.T, tr transport) {
			hub := sse.Hub{History: -1, Log: new(backplane.Memory)}
			defer hub.Close()
			hub.Set("a").Dispatch("", "before")
			st := tr.serve(t, rooms(&hub)).openURL(at("a"))
			synctest.Wait()
			hub.Set("a").Dispatch("", "x")
			if e, err := st.next(); err != nil || e.data != "x" || e.id != "" {
				t.Errorf("got %+v, error %v; want x without an id", e, err)
			}
		})
	})
	t.Run("none", func(t *testing.T) {
		hub := sse.Hub{History: -1}
		st := transports[0].serve(t, rooms(&hub)).openURL(at("a"))
		eventually(t, 5*time.Second, "a member", func() bool {
			n, _ := hub.Set("a").Dispatch("", "x")
			return n == 1
		})
		if e, err := st.next(); err != nil || e.id != "" {
			t.Errorf("got %q, error %v; want no id", e, err)
		}
		hub.Set("a").CloseAll()
	})
}

// A client that resumes in many sets at once gets what it missed in order, although
// dispatches go on meanwhile and have its stream written to at any moment.
func TestHubResumeWhileDispatching(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		const sets, events, clients, visits = 500, 1000, 30, 10
		hub := sse.Hub{History: 1 << 20, HistoryBytes: -1}
		names := make([]string, sets)
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
		site := tr.listen(t, rooms(&hub))
		first := site.openURL(at(names...))
		eventually(t, 10*time.Second, "the client is there", func() bool {
			n, _ := hub.Set(names[0]).Dispatch("begin", "")
			return n == 1
		})
		begin, err := first.next()
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			hub.Set(names[i%sets]).Dispatch("missed", strconv.Itoa(i))
		}
		done := make(chan struct{})
		var firing, reading sync.WaitGroup
		firing.Go(func() {
			for ; ; runtime.Gosched() {
				select {
				case <-done:
					return
				default:
					hub.Set(names[0]).Dispatch("new", "")
				}
			}
		})
		for range clients {
			reading.Go(func() {
				for range visits {
					st := site.openURL(at(names...), "Last-Event-ID", begin.id)
					for missed := 0; missed < events; {
						e, err := st.next()
						if err != nil || e.typ != "begin" && e.data != strconv.Itoa(missed) {
							t.Errorf("got %q, error %v; want the missed event %d", e, err, missed)
							break
						}
						if e.typ == "missed" {
							missed++
						}
					}
					st.close()
				}
			})
		}
		reading.Wait()
		close(done)
		firing.Wait()
	})
}
