package sse_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// viewing serves a set to viewers, whose number is in the parameter v.
func viewing(set func() *sse.Set, view func(viewer int, e sse.Event) (sse.Event, bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		viewer, _ := strconv.Atoi(r.FormValue("v"))
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			set().AddFunc(source, func(e sse.Event) (sse.Event, bool) { return view(viewer, e) })
		})
	})
}

// openView opens viewer's stream.
func (s *site) openView(viewer int, id string) *stream {
	s.t.Helper()
	return s.openURL(fmt.Sprintf("http://memory/?v=%d", viewer), "Last-Event-ID", id)
}

// may reports whether the viewer has the right to see event n: one of them sees
// everything, and the others less and less.
func may(viewer, n int) bool { return n%(viewer+1) == 0 }

// own is an event as the viewer sees it.
func own(viewer int, data string) string { return fmt.Sprintf("%s for %d\nonly", data, viewer) }

func ownView(viewer int, e sse.Event) (sse.Event, bool) {
	n, _ := strconv.Atoi(e.Data)
	e.Type, e.Data = "own", own(viewer, e.Data)
	return e, may(viewer, n)
}

// viewAll has 100 viewers with different rights read, and lose their connections at
// random. Each gets exactly what it may see, once and in order.
func viewAll(t *testing.T, open func(viewer int, id string) *stream, dispatch func(data string)) {
	t.Helper()
	const viewers, events = 100, 600
	read := func(viewer int) error {
		id := ""
		for next := viewer + 1; next < events; {
			st := open(viewer, id)
			for range 1 + rand.IntN(20) {
				e, err := st.next()
				if err != nil {
					return err
				}
				if id = e.id; e.typ == "last-event-id" {
					continue
				}
				if want := own(viewer, strconv.Itoa(next)); e.typ != "own" || e.data != want {
					return fmt.Errorf("got %s %q, want %q", e.typ, e.data, want)
				}
				if next += viewer + 1; next >= events {
					break
				}
			}
			st.close()
		}
		return nil
	}
	var reading sync.WaitGroup
	errs := make([]error, viewers)
	for i := range viewers {
		reading.Go(func() { errs[i] = read(i) })
	}
	synctest.Wait()
	for n := 1; n < events; n++ {
		dispatch(strconv.Itoa(n))
		time.Sleep(time.Millisecond) // fake
	}
	reading.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("viewer %d: %v", i, err)
		}
	}
}

func noGap(t *testing.T) func(*sse.EventSource) ([]sse.Event, error) {
	return func(source *sse.EventSource) ([]sse.Event, error) {
		if source.LastEventID() != "" {
			t.Errorf("%s: a gap at %q", source.URL(), source.LastEventID())
		}
		return nil, nil
	}
}

func TestViews(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := &sse.Set{Snapshot: noGap(t)}
		site := tr.serve(t, viewing(func() *sse.Set { return group }, ownView))
		viewAll(t, site.openView, func(data string) { group.Dispatch("", data) })
	})
}

func TestViewsShared(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		var sites []*site
		var hubs []*sse.Hub
		for range 3 {
			hub := &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) { s.Snapshot = noGap(t) }}
			defer hub.Close()
			hubs = append(hubs, hub)
			sites = append(sites, tr.serve(t, viewing(func() *sse.Set { return hub.Set("a") }, ownView)))
		}
		viewAll(t, func(viewer int, id string) *stream { return sites[rand.IntN(3)].openView(viewer, id) },
			func(data string) { hubs[rand.IntN(3)].Set("a").Dispatch("", data) })
	})
}

// A viewer that may see next to nothing can resume however much it was not sent
// meanwhile, and is not told of any of it.
func TestViewMarks(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := &sse.Set{History: 50, HistoryAge: time.Minute, Snapshot: noGap(t)}
		site := tr.serve(t, viewing(func() *sse.Set { return group }, ownView))
		const viewer = 499
		st, id := site.openView(viewer, ""), ""
		synctest.Wait()
		for n := 1; n <= 1000; n++ {
			group.Dispatch("secret", strconv.Itoa(n))
			time.Sleep(time.Second) // fake
			if n%200 != 150 {
				continue
			}
			marks := 0
			for id == "" || marks < 10 {
				e, err := st.next()
				if err != nil {
					t.Fatal(err)
				}
				if id = e.id; e.typ == "last-event-id" && e.data == "" {
					marks++
				} else if e.data != own(viewer, "500") {
					t.Fatalf("got %+v", e)
				}
			}
		}
		for n := 1001; n < 1100; n++ { // more than is kept, and it reads what there is
			group.Dispatch("secret", strconv.Itoa(n))
			time.Sleep(time.Second) // fake
		}
		group.Dispatch("", "1500")
		for e, err := st.next(); e.data != own(viewer, "1500"); e, err = st.next() {
			if id = e.id; err != nil || e.data != "" && e.data != own(viewer, "1000") {
				t.Fatalf("got %+v, error %v", e, err)
			}
		}
		st.close()
		again := site.openView(viewer, id)
		again.want("own|" + own(viewer, "1500"))
	})
}
