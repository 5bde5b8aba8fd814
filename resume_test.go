package sse_test

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A set of 12 events whose history keeps the last 5, "own" among them, and what
// a client gets that comes back with an id.
func TestResume(t *testing.T) {
	type ids struct {
		of    []string // the automatic ids of events 0 to 9
		epoch string
	}
	for _, tt := range []struct {
		name   string
		id     func(ids) string
		replay int // the first event that is sent again; 0: a snapshot instead
	}{
		{"up to date but for three", func(i ids) string { return i.of[8] }, 9},
		{"the last that is not kept", func(i ids) string { return i.of[6] }, 7},
		{"older", func(i ids) string { return i.of[5] }, 0},
		{"the first", func(i ids) string { return i.of[0] }, 0},
		{"the program's own", func(i ids) string { return "own" }, 11},
		{"from the future", func(i ids) string { return i.epoch + "-zzzzzz" }, 0},
		{"zero", func(i ids) string { return i.epoch + "-0" }, 0},
		{"no offset", func(i ids) string { return i.epoch }, 0},
		{"an empty offset", func(i ids) string { return i.epoch + "-" }, 0},
		{"an offset of nonsense", func(i ids) string { return i.epoch + "-?" }, 0},
		{"an offset beyond 64 bits", func(i ids) string { return i.epoch + "-" + strings.Repeat("z", 14) }, 0},
		{"of another process", func(i ids) string { return "0123456789-1" }, 0},
		{"nonsense", func(i ids) string { return "nonsense" }, 0},
		{"very long", func(i ids) string { return strings.Repeat("9", 4096) }, 0},
		{"none", func(i ids) string { return "" }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, query := range []bool{false, true} {
				overEach(t, func(t *testing.T, tr transport) {
					snapshots := 0
					group := &sse.Set{History: 5, Snapshot: func(s *sse.EventSource) ([]sse.Event, error) {
						snapshots++
						return state("snapshot", s.LastEventID())
					}}
					site := tr.serve(t, group)
					st := site.open()
					st.want("snapshot|")
					synctest.Wait()
					var i ids
					for n := range 10 {
						group.Dispatch("", strconv.Itoa(n))
						e, err := st.next()
						if err != nil {
							t.Fatal(err)
						}
						i.of = append(i.of, e.id)
					}
					i.epoch, _, _ = strings.Cut(i.of[0], "-")
					group.DispatchEvent(sse.Event{ID: "own", Data: "10"})
					group.Dispatch("", "11")

					id := tt.id(i)
					var back *stream
					if query {
						back = site.openURL("http://memory/?lastEventId=" + url.QueryEscape(id))
					} else {
						back = site.open("Last-Event-ID", id)
					}
					synctest.Wait()
					group.Dispatch("", "live")
					if tt.replay == 0 {
						back.want("snapshot|" + id)
					} else {
						for n := tt.replay; n < 12; n++ {
							back.want("message|" + strconv.Itoa(n))
						}
					}
					back.want("message|live")
					if gap := snapshots == 2; gap != (tt.replay == 0) {
						t.Errorf("%d snapshots", snapshots)
					}
				})
			}
		})
	}
}

func TestHistoryBounds(t *testing.T) {
	const size = 1000 // on the wire
	event := strings.Repeat("x", size-len("3e0\r\nid: 0123456789-123\ndata: \n\n\r\n"))
	for _, tt := range []struct {
		name string
		set  *sse.Set
		keep int // about; of 2000 events, one a second
	}{
		{"default age", &sse.Set{}, 300},
		{"default count", &sse.Set{HistoryAge: -1}, 1024},
		{"default bytes", &sse.Set{HistoryAge: -1, History: 1 << 20}, 1 << 20 / size},
		{"count", &sse.Set{History: 7}, 7},
		{"bytes", &sse.Set{HistoryBytes: 10 * size}, 10},
		{"age", &sse.Set{HistoryAge: 10 * time.Second}, 10},
		{"none", &sse.Set{History: -1}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := transports[0].serve(t, tt.set)
				st := site.open()
				synctest.Wait()
				var ids []string
				for range 2000 {
					time.Sleep(time.Second)
					tt.set.Dispatch("", event)
					e, err := st.next()
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, e.id)
				}
				// How many events a client gets that saw the one so far back last.
				replay := func(back int) (n int) {
					st := site.open("Last-Event-ID", ids[len(ids)-1-back])
					synctest.Wait()
					tt.set.CloseAll()
					for {
						if _, err := st.next(); err != nil {
							return n
						}
						n++
					}
				}
				if len(ids[0]) == 0 {
					if replay(0) != 0 || tt.keep != 0 {
						t.Error("no ids, or a history without")
					}
					return
				}
				// The ids differ in length, and with them the sizes, by a byte or two.
				for _, d := range []struct{ back, want int }{{tt.keep + 3, 0}, {tt.keep - 3, tt.keep - 3}, {1, 1}} {
					if n := replay(d.back); n != d.want {
						t.Errorf("%d events back: got %d, want %d", d.back, n, d.want)
					}
				}
			})
		})
	}
}

// 1,000 events while clients drop and return at random: each sees every event
// once, in order.
func TestResumeUnderFire(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		const clients, events = 20, 1000
		group := &sse.Set{Snapshot: func(s *sse.EventSource) ([]sse.Event, error) {
			if s.LastEventID() != "" {
				t.Errorf("a gap at %q", s.LastEventID())
			}
			return nil, nil
		}}
		site := tr.listen(t, group)
		var wg sync.WaitGroup
		for range clients {
			st := site.open()
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, 2))
				for i := range events {
					if i > 0 && rng.IntN(20) == 0 {
						st.close()
						st = site.open("Last-Event-ID", st.lastID)
					}
					if e, err := st.next(); err != nil || e.data != strconv.Itoa(i) {
						t.Errorf("got %q, error %v; want %d", e.data, err, i)
						return
					}
				}
			})
		}
		eventually(t, 10*time.Second, "all are members", func() bool { return group.Len() == clients })
		for i := range events {
			group.Dispatch("", strconv.Itoa(i))
			if i%10 == 0 {
				time.Sleep(time.Millisecond) // spreads the events over the drops
			}
		}
		wg.Wait()
	})
}

// What is dispatched to the set while a snapshot is made follows it, whether it
// is part of that state or not.
func TestSnapshotComesFirst(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var group *sse.Set
		group = &sse.Set{Snapshot: func(s *sse.EventSource) ([]sse.Event, error) {
			group.Dispatch("", "meanwhile")
			time.Sleep(time.Second)
			group.Dispatch("", "meanwhile, later")
			return []sse.Event{{Type: "snapshot", Data: "1"}, {Type: "snapshot", Data: "2"}}, nil
		}}
		st := tr.serve(t, group).open()
		st.want("snapshot|1", "snapshot|2", "message|meanwhile", "message|meanwhile, later")
	})
}

// A source that is added again begins anew: its last event ID has served.
func TestAddedAgain(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var group sse.Set
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		st := site.open()
		first := <-sources
		group.Add(first)
		group.Dispatch("", "0")
		group.Dispatch("", "1")
		st.want("message|0")
		back := site.open("Last-Event-ID", st.lastID)
		source := <-sources
		group.Add(source)
		group.Delete(source)
		group.Dispatch("", "2")
		group.Add(source)
		group.Dispatch("", "3")
		back.want("message|1", "message|3")
	})
}

// Of events with one id of the program's own, a client resumes after the newest,
// though the others are forgotten.
func TestOwnIDAgain(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{History: 2, Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return state("state", "") }}
		site := tr.serve(t, &group)
		for _, e := range []sse.Event{{ID: "x", Data: "0"}, {ID: "x", Data: "1"}, {ID: "y", Data: "2"}} {
			group.DispatchEvent(e)
		}
		site.open("Last-Event-ID", "x").want("message|2")
	})
}

// An id with which a source cannot resume in one set is left for the next.
func TestResumeInSecondSet(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var one, two sse.Set
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		st := site.open()
		one.Add(<-sources)
		one.Dispatch("", "0")
		one.Dispatch("", "1")
		st.want("message|0")
		back := site.open("Last-Event-ID", st.lastID)
		source := <-sources
		two.Add(source)
		one.Add(source)
		one.Dispatch("", "2")
		back.want("message|1", "message|2")
	})
}

// A panic in a snapshot is the request's own: its stream ends, the set goes on.
func TestSnapshotPanics(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		panics := true
		group := &sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			if panics {
				panic(http.ErrAbortHandler)
			}
			return nil, nil
		}}
		site := tr.serve(t, group)
		st := site.open()
		if _, err := st.next(); err == nil {
			t.Error("the stream goes on")
		}
		synctest.Wait()
		panics = false
		st = site.open()
		synctest.Wait()
		if n, err := group.Dispatch("", "x"); n != 1 || err != nil {
			t.Errorf("Dispatch: %d, %v", n, err)
		}
		st.want("message|x")
	})
}
