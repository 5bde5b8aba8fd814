package sse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

func TestSetMembership(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		var group sse.Set
		var all []*sse.EventSource
		for range 5 {
			site.open()
			all = append(all, <-sources)
		}
		for _, s := range all {
			if group.Has(s) || group.Delete(s) || !group.Add(s) || group.Add(s) || !group.Has(s) {
				t.Error("Add, Has or Delete is wrong")
			}
		}
		if n, err := group.Dispatch("", "x"); n != 5 || err != nil || group.Len() != 5 {
			t.Errorf("Dispatch: %d, %v; Len %d", n, err, group.Len())
		}
		seen := 0
		for s := range group.All() { // deleting and closing in the loop
			switch seen++; seen {
			case 1:
				group.Delete(s)
				group.Add(s)
			case 2:
				s.Close()
			case 3:
				for other := range group.All() {
					if other != s {
						group.Delete(other)
					}
				}
			}
		}
		if seen != 3 || group.Len() != 1 {
			t.Errorf("saw %d members, %d are left", seen, group.Len())
		}
		group.Clear()
		if n, _ := group.Dispatch("", "y"); n != 0 || group.Len() != 0 {
			t.Errorf("after Clear: %d members", n)
		}
		open := 0
		for _, s := range all {
			if group.Add(s) {
				open++
			}
		}
		if open != 4 {
			t.Errorf("%d sources are open, want 4", open)
		}
		group.CloseAll()
		for _, s := range all {
			if err := s.Wait(); !errors.Is(err, sse.ErrClosed) || group.Add(s) {
				t.Errorf("after CloseAll: %v", err)
			}
		}
	})
}

// What was dispatched before Delete arrives, what comes after does not.
func TestDeleteKeepsWhatWaits(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		var one, two sse.Set
		one.Add(source)
		two.Add(source)
		big := strings.Repeat("x", 1<<20)
		one.Dispatch("", big)
		synctest.Wait() // it is being written
		one.Dispatch("", "1")
		two.Dispatch("", "2")
		one.Dispatch("", "3")
		one.Delete(source)
		one.Dispatch("", "not for it")
		two.Dispatch("", "4")
		st.want("message|"+big, "message|1", "message|2", "message|3", "message|4")
		source.Close()
		st.wantEnd()
	})
}

// Law 3: one order for all, and what one goroutine sends arrives in its order,
// directly and through sets.
func TestOrder(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		const members, dispatchers, events = 8, 4, 300
		handler, sources := connected(nil)
		site := tr.listen(t, handler)
		var hub sse.Hub
		var own sse.Set // another log
		var streams []*stream
		var all []*sse.EventSource
		for range members {
			streams = append(streams, site.open())
			s := <-sources
			all = append(all, s)
			hub.Add(s, "a", "b")
			own.Add(s)
		}
		var wg sync.WaitGroup
		for d := range dispatchers {
			wg.Go(func() {
				for i := range events {
					data := fmt.Sprintf("%d %d", d, i)
					switch rand.IntN(4) {
					case 0:
						hub.Set("a").Dispatch("hub", data)
					case 1:
						hub.Set("b").Dispatch("hub", data)
					case 2:
						own.Dispatch("own", data)
					default:
						for _, s := range all {
							s.Dispatch("direct", data)
						}
					}
				}
			})
		}
		orders := make([]map[string][]string, members)
		for i, st := range streams {
			wg.Go(func() {
				orders[i] = make(map[string][]string)
				var next [dispatchers]int
				for range dispatchers * events {
					e, err := st.next()
					if err != nil {
						t.Error(err)
						return
					}
					orders[i][e.typ] = append(orders[i][e.typ], e.data)
					var d, n int
					fmt.Sscan(e.data, &d, &n)
					if n != next[d] {
						t.Errorf("member %d: event %d of dispatcher %d when %d was due", i, n, d, next[d])
						return
					}
					next[d]++
				}
			})
		}
		wg.Wait()
		for i := range orders {
			for _, log := range []string{"hub", "own"} {
				if !slices.Equal(orders[i][log], orders[0][log]) {
					t.Errorf("members 0 and %d see different orders of %s", i, log)
				}
			}
		}
		own.CloseAll()
	})
}

// A stalled member, a set's policy, and the others: they get everything at
// once, and no dispatch waits for it.
func TestSlowPolicies(t *testing.T) {
	const events, keys = 2000, 10
	pad := strings.Repeat(".", 1000)
	for _, tt := range []struct {
		name   string
		policy sse.SlowPolicy
	}{{"CloseSlow", sse.CloseSlow}, {"SkipSlow", sse.SkipSlow}, {"LatestPerKey", sse.LatestPerKey}} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				handler, sources := connected(&sse.AcceptOptions{Backlog: 100_000, WriteTimeout: time.Hour})
				site := tr.serve(t, handler)
				group := sse.Set{Slow: tt.policy}
				stalled := site.open()
				slow := <-sources
				group.Add(slow)
				var readers sync.WaitGroup
				for range 3 {
					st := site.open()
					group.Add(<-sources)
					readers.Go(func() {
						for i := 0; i < events; i++ {
							e, err := st.next()
							if n, _ := strconv.Atoi(strings.TrimRight(e.data, ".")); tt.policy == sse.LatestPerKey && n < events && n > i {
								i = n // a newer one took its place
							} else if err != nil || n != i {
								t.Errorf("got event %.10q, error %v; want %d", e.data, err, i)
								return
							}
						}
					})
				}
				start := time.Now()
				for i := range events {
					if _, err := group.Dispatch("key"+strconv.Itoa(i%keys), strconv.Itoa(i)+pad); err != nil {
						t.Fatal(err)
					}
					if i%10 == 0 {
						synctest.Wait() // as fast as memory goes, but not faster
					}
				}
				readers.Wait()
				if d := time.Since(start); d > time.Second {
					t.Errorf("the others had to wait %v", d)
				}
				if tt.policy == sse.CloseSlow {
					if err := slow.Wait(); !errors.Is(err, sse.ErrSlow) || group.Len() != 3 {
						t.Errorf("ended with %v, %d members", err, group.Len())
					}
					return
				}
				// It comes back to life: it gets whole events, in order, and the newest.
				var got []int
				last := make(map[string]int)
				for {
					e, err := stalled.next()
					if err != nil {
						t.Fatal(err)
					}
					n, err := strconv.Atoi(strings.TrimRight(e.data, "."))
					if err != nil || e.typ != "key"+strconv.Itoa(n%keys) || len(e.data) != len(strconv.Itoa(n))+len(pad) {
						t.Fatalf("got half an event: %q", e)
					}
					got = append(got, n)
					last[e.typ] = n
					if n == events-1 {
						break
					}
				}
				if !slices.IsSorted(got) || len(got) > events/2 {
					t.Errorf("got %d events, sorted: %v", len(got), slices.IsSorted(got))
				}
				switch tt.policy {
				case sse.SkipSlow:
					if n := group.Skipped(); int(n)+len(got) != events {
						t.Errorf("got %d and skipped %d of %d", len(got), n, events)
					}
				case sse.LatestPerKey:
					for i := events - keys; i < events; i++ {
						if key := "key" + strconv.Itoa(i%keys); last[key] != i {
							t.Errorf("%s: last %d, want %d", key, last[key], i)
						}
					}
				}
				if slow.ReadyState() != sse.Open {
					t.Errorf("it is closed: %v", slow.Err())
				}
			})
		})
	}
}

// LatestPerKey closes a member all the same if one event per key is too much.
func TestLatestPerKeyHasABound(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 100_000, WriteTimeout: time.Hour})
		site := tr.serve(t, handler)
		group := sse.Set{Slow: sse.LatestPerKey, Key: func(e sse.Event) string { return e.Data[:4] }}
		site.open()
		source := <-sources
		group.Add(source)
		for i := range 2000 {
			group.Dispatch("", fmt.Sprintf("%04d%1000d", i, 0))
		}
		if err := source.Wait(); !errors.Is(err, sse.ErrSlow) {
			t.Errorf("ended with %v", err)
		}
	})
}

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
					group := &sse.Set{History: 5, Snapshot: func(s *sse.EventSource) {
						snapshots++
						s.Dispatch("snapshot", s.LastEventID())
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
	event := strings.Repeat("x", size-len("id: 0123456789-123\ndata: \n\n"))
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
	overEachSocket(t, func(t *testing.T, tr transport) {
		const clients, events = 20, 1000
		group := &sse.Set{Snapshot: func(s *sse.EventSource) {
			if s.LastEventID() != "" {
				t.Errorf("a gap at %q", s.LastEventID())
			}
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
		group = &sse.Set{Snapshot: func(s *sse.EventSource) {
			group.Dispatch("", "meanwhile")
			s.Dispatch("snapshot", "1")
			time.Sleep(time.Second)
			group.Dispatch("", "meanwhile, later")
			s.Dispatch("snapshot", "2")
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

// A panic in a snapshot is the request's own: its stream ends, the set goes on.
func TestSnapshotPanics(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		panics := true
		group := &sse.Set{Snapshot: func(*sse.EventSource) {
			if panics {
				panic(http.ErrAbortHandler)
			}
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

// A burst that is larger than the backlog does not close a client that reads:
// it is the machine that has to catch up, and the program waits for it.
func TestBurst(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 256 << 10})
		site := tr.listen(t, handler)
		group := sse.Set{History: -1}
		const events = 3000
		clients := 50
		if tr.http2 {
			clients = 3 // they share a connection, on which Go serves one after the other
		}
		pad := strings.Repeat(".", 1000)
		var wg sync.WaitGroup
		for range clients {
			st := site.open()
			group.Add(<-sources)
			wg.Go(func() {
				for i := range events {
					if e, err := st.next(); err != nil || e.data != strconv.Itoa(i)+pad {
						t.Errorf("got %.10q, error %v; want %d", e.data, err, i)
						return
					}
				}
			})
		}
		for i := range events {
			group.Dispatch("", strconv.Itoa(i)+pad)
		}
		wg.Wait()
	})
}
