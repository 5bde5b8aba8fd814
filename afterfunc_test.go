package sse_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A function is called once, after the end, whatever ends the stream; then the
// reason is known, and the source has left its sets.
func TestAfterFunc(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*sse.EventSource, *stream, *site)
		want error
	}{
		{"Close", func(s *sse.EventSource, _ *stream, _ *site) { s.Close() }, sse.ErrClosed},
		{"client", func(_ *sse.EventSource, st *stream, _ *site) { st.close() }, sse.ErrGone},
		{"Shutdown", func(_ *sse.EventSource, _ *stream, site *site) { go site.server.Shutdown(site.t.Context()) }, sse.ErrShutdown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				handler, sources := connected(nil)
				site := tr.serve(t, handler)
				st := site.open()
				source := <-sources
				var group sse.Set
				group.Add(source)
				var calls []string
				note := make(chan string, 3)
				source.AfterFunc(func() { note <- "first" })
				stop := source.AfterFunc(func() { note <- "taken back" })
				source.AfterFunc(func() {
					if source.Err() != tt.want || group.Len() != 0 {
						t.Errorf("called while Err is %v, and the set has %d members", source.Err(), group.Len())
					}
					note <- "last"
				})
				synctest.Wait()
				if len(note) > 0 {
					t.Fatalf("%s was called while the stream was open", <-note)
				}
				if !stop() || stop() {
					t.Error("stop reports true once")
				}
				tt.end(source, st, site)
				time.Sleep(10 * time.Second) // fake
				for len(note) > 0 {
					calls = append(calls, <-note)
				}
				if len(calls) != 2 {
					t.Errorf("called: %v", calls)
				}
				source.AfterFunc(func() { note <- "late" })
				synctest.Wait()
				if len(note) != 1 || stop() {
					t.Error("arranged after the end, it was not called at once")
				}
			})
		})
	}
}

// A source that Accept did not make is a closed one.
func TestAfterFuncWithoutStream(t *testing.T) {
	called := make(chan bool, 1)
	if stop := (*sse.EventSource)(nil).AfterFunc(func() { called <- true }); !<-called || stop() {
		t.Error("want a call, and nothing to take back")
	}
}

// A stream costs no goroutine for what is to be called after it.
func ExampleEventSource_AfterFunc() {
	var group sse.Set
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			source.AfterFunc(func() { group.Dispatch("left", source.URL()) })
			group.Add(source)
		})
	})
}
