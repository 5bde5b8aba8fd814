package sse_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// rooms serves a hub: a stream of the sets that the query names; see at.
func rooms(hub *sse.Hub) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			hub.Add(source, r.URL.Query()["in"]...)
		})
	})
}

// at returns the URL of a stream of several rooms.
func at(names ...string) string { return "http://memory/?" + url.Values{"in": names}.Encode() }

func TestHubNames(t *testing.T) {
	made := make(map[string]int)
	hub := sse.Hub{NewSet: func(name string, s *sse.Set) {
		made[name]++
		s.Slow = sse.SkipSlow
	}}
	names := []string{"", " ", "a", "A", "a ", "a\n", "a\x00b", "\xff", "\xfe", "ä", "a\u0308", "data: x\n\n", strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20) + "y"}
	sets := make(map[*sse.Set]string)
	for _, name := range names {
		s := hub.Set(name)
		if other, ok := sets[s]; ok {
			t.Errorf("%.20q and %.20q are the same set", name, other)
		}
		sets[s] = name
		if s.Slow != sse.SkipSlow {
			t.Errorf("%.20q: the fields that Init sets are not", name)
		}
	}
	for s, name := range sets {
		if hub.Set(name) != s || made[name] != 1 {
			t.Errorf("%.20q: another set than before, made %d times", name, made[name])
		}
	}
	if hub.Len() != len(names) || len(made) != len(names) {
		t.Errorf("Len %d, made %d; want %d", hub.Len(), len(made), len(names))
	}
}

func TestHubSetsAreApart(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var hub sse.Hub
		site := tr.serve(t, rooms(&hub))
		names := []string{"", "a", "a\nb", strings.Repeat("x", 5000)}
		var streams []*stream
		for _, name := range names {
			streams = append(streams, site.openURL(at(name)))
		}
		synctest.Wait()
		for i, name := range names {
			if n, err := hub.Set(name).Dispatch("", strconv.Itoa(i)); n != 1 || err != nil {
				t.Errorf("%.20q: Dispatch: %d, %v", name, n, err)
			}
		}
		for i, name := range names {
			hub.Set(name).CloseAll()
			streams[i].want("message|" + strconv.Itoa(i))
			streams[i].wantEnd()
		}
	})
}

func TestHubAdd(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var hub sse.Hub
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		st := site.open()
		source := <-sources
		site.open()
		ended := <-sources
		ended.Close()
		for _, tt := range []struct {
			source *sse.EventSource
			names  []string
			want   bool
			sizes  [3]int // of a, b and c afterwards
		}{
			{nil, []string{"a"}, false, [3]int{0, 0, 0}},
			{ended, []string{"a", "b"}, false, [3]int{0, 0, 0}},
			{source, nil, false, [3]int{0, 0, 0}},
			{source, []string{"a", "b"}, true, [3]int{1, 1, 0}},
			{source, []string{"a"}, false, [3]int{1, 1, 0}},
			{source, []string{"b", "a"}, false, [3]int{1, 1, 0}},
			{source, []string{"c", "a", "c"}, true, [3]int{1, 1, 1}},
			{source, []string{"a", "b", "c"}, false, [3]int{1, 1, 1}},
		} {
			got := hub.Add(tt.source, tt.names...)
			if sizes := [3]int{hub.Set("a").Len(), hub.Set("b").Len(), hub.Set("c").Len()}; got != tt.want || sizes != tt.sizes {
				t.Errorf("Add(%v, %v): %v, sizes %v; want %v, %v", tt.source != nil, tt.names, got, sizes, tt.want, tt.sizes)
			}
		}
		for _, name := range []string{"c", "a", "b", "a", "c"} {
			hub.Set(name).Dispatch(name, "x")
		}
		hub.Set("b").Delete(source)
		hub.Set("b").Dispatch("b", "not for it")
		hub.Set("c").Dispatch("c", "y")
		st.want("c|x", "a|x", "b|x", "a|x", "c|x", "c|y")
		source.Close()
		st.wantEnd()
		for _, name := range []string{"a", "b", "c"} {
			if n := hub.Set(name).Len(); n != 0 {
				t.Errorf("%s has %d members", name, n)
			}
		}
	})
}

// A member, by Len and Has, is one that is sent what is dispatched: there is no
// time between, not even while Add makes the next set.
func TestHubAddIsOneStep(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		tr.serve(t, handler).open()
		source := <-sources
		var a *sse.Set
		hub := sse.Hub{NewSet: func(name string, _ *sse.Set) {
			if name == "b" {
				if n, _ := a.Dispatch("", "x"); n != a.Len() || a.Has(source) != (n == 1) {
					t.Errorf("sent to %d of %d members, Has: %v", n, a.Len(), a.Has(source))
				}
			}
		}}
		a = hub.Set("a")
		hub.Add(source, "a", "b")
	})
}

// Law 3, while goroutines dispatch to old sets and new ones, others add and
// close members, and clients drop and come back: all clients of the same two
// sets see the same order, nothing twice and nothing missing, and each
// dispatcher's events in its own.
func TestHubUnderFire(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		const clients, dispatchers, events = 12, 4, 250
		hub := sse.Hub{History: 1 << 16, HistoryBytes: -1}
		site := tr.listen(t, rooms(&hub))
		var streams []*stream
		for range clients {
			streams = append(streams, site.openURL(at("a", "b")))
		}
		a, b := hub.Set("a"), hub.Set("b")
		eventually(t, 10*time.Second, "all have an id to come back with", func() bool {
			n, _ := a.Dispatch("begin", "")
			return n == clients
		})

		orders := make([][]string, clients)
		var reading, firing sync.WaitGroup
		for i, st := range streams {
			reading.Go(func() {
				for id := ""; len(orders[i]) == 0 || orders[i][len(orders[i])-1] != "end"; {
					e, err := st.next()
					if err == nil {
						id = e.id
						if e.typ != "begin" {
							orders[i] = append(orders[i], e.data)
						}
					}
					if err != nil || rand.IntN(100) == 0 {
						st.close()
						st = site.openURL(at("a", "b"), "Last-Event-ID", id)
					}
				}
				st.close()
			})
		}
		for d := range dispatchers {
			firing.Go(func() {
				for i := range events {
					hub.Set([]string{"a", "b"}[rand.IntN(2)]).Dispatch("", fmt.Sprint(d, i))
					hub.Set("c").Dispatch("", "not for them")
					hub.Set(strconv.Itoa(rand.IntN(1000))).Dispatch("", "for nobody")
					time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond) // spreads the events over the drops
				}
			})
		}
		firing.Go(func() {
			for range 20 {
				for s := range b.All() {
					if hub.Add(s, "a", "b") {
						t.Error("a member of both was added, or one that has ended")
					}
					if rand.IntN(clients) == 0 {
						s.Close()
					}
				}
				for range 100 {
					hub.Set(strconv.Itoa(rand.Int())) // for the collector
				}
				runtime.GC()
				time.Sleep(time.Millisecond) // lets the clients come back
			}
		})
		firing.Wait()
		a.Dispatch("", "end")
		reading.Wait()
		if n := len(orders[0]); n != dispatchers*events+1 {
			t.Fatalf("got %d events", n)
		}
		var next [dispatchers]int
		for _, data := range orders[0][:dispatchers*events] {
			var d, n int
			if _, err := fmt.Sscan(data, &d, &n); err != nil || n != next[d] {
				t.Fatalf("got %q when %d was due", data, next[d])
			}
			next[d]++
		}
		for i := range orders {
			if !slices.Equal(orders[i], orders[0]) {
				t.Errorf("clients 0 and %d see different orders", i)
			}
		}
	})
}
