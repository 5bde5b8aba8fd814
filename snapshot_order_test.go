package sse_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// What is dispatched to a set while a newcomer gets its snapshot follows that,
// though the newcomer reads nothing, so that both wait together.
func TestSnapshotFirst(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		large := strings.Repeat("x", 100<<10)
		var group sse.Set
		group.Snapshot = func(source *sse.EventSource) ([]sse.Event, error) {
			done := make(chan bool)
			go func() {
				group.Dispatch("live", "1")
				source.Dispatch("own", "2") // what one goroutine sends stays in order
				close(done)
			}()
			<-done
			return []sse.Event{{Type: "state", Data: large}, {Type: "state", Data: "the rest"}}, nil
		}
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, &sse.AcceptOptions{WriteTimeout: time.Minute}, func(source *sse.EventSource) { group.Add(source) })
		}))
		st := site.open()
		synctest.Wait()
		st.want("state|"+large, "state|the rest", "live|1", "own|2")
	})
}

// A gap is told before the id that the client is to come back with: should the
// stream break off between them, it is told again.
func TestGapFirst(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		large := strings.Repeat("x", 500<<10)
		hub := sse.Hub{Log: new(backplane.Memory)}
		defer hub.Close()
		hub.Set("a").Dispatch("", "1")
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open("Last-Event-ID", "nonsense")
		source := <-sources
		go source.Dispatch("state", large) // is not read, and so what follows waits together
		synctest.Wait()
		go hub.Add(source, "a")
		synctest.Wait()
		st.want("state|" + large)
		e, err := st.next()
		if err != nil || e.typ != "gap" || e.id == "" {
			t.Errorf("got %+v, error %v; want a gap with an id", e, err)
		}
	})
}
