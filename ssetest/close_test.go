package ssetest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// big does not fit into the buffers of any connection.
var big = strings.Repeat("x", 2<<20)

// wantWithin fails if more time has passed since start.
func wantWithin(t *testing.T, start time.Time, limit time.Duration, what string) {
	t.Helper()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v, want %v at most", what, d, limit)
	}
}

// With a hundred open streams, ten of which are stalled, the others end cleanly
// and do not wait for those ten.
func TestClose(t *testing.T) {
	overEach(t, func(t *testing.T, k kind) {
		cut := closeCrowd(t, k)
		// Close cuts streams after a second, in which a busy machine may not end ninety.
		for attempt := 1; attempt < 10 && cut > 0 && !k.memory; attempt++ {
			cut = closeCrowd(t, k)
		}
		if cut > 0 {
			t.Errorf("Close cut %d of the streams that are not stalled", cut)
		}
	})
}

// closeCrowd closes a server with 90 streams, and ten that are stalled. It returns how
// many of the 90 did not end cleanly.
func closeCrowd(t *testing.T, k kind) (cut int) {
	t.Helper()
	var group, slow sse.Set
	mux := http.NewServeMux()
	mux.Handle("/", &group)
	mux.Handle("/slow", &slow)
	server := k.serve(mux)
	var reading, stalled []*ssetest.Stream
	for range 90 {
		reading = append(reading, server.Open(t, "/"))
	}
	for range 10 {
		st := server.Open(t, "/slow")
		st.Stall()
		stalled = append(stalled, st)
	}
	ssetest.AwaitLen(t, &group, 90)
	ssetest.AwaitLen(t, &slow, 10)
	slow.Dispatch("", big)
	group.Dispatch("", "last")
	start := time.Now()
	server.Close()
	if k.memory {
		wantWithin(t, start, time.Second/2, "Close")
	}
	for i, st := range reading {
		events, err := st.Events(), st.End()
		if err != nil {
			cut++
			t.Logf("stream %d: got %v, ended with %v", i, events, err)
		} else if len(events) != 1 || events[0].Data != "last" {
			t.Errorf("stream %d: got %v, want one event", i, events)
		}
	}
	for i, st := range stalled {
		if n, err := len(st.Events()), st.End(); n != 0 || err == nil {
			t.Errorf("stalled stream %d: %d events, ended with %v", i, n, err)
		}
	}
	if n := group.Len() + slow.Len(); n != 0 {
		t.Errorf("%d members left", n)
	}
	server.Close() // a second time
	return cut
}

// Streams that all read, and those that are stalled and have read all there was,
// end at once.
func TestCloseIsFast(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		var group sse.Set
		server := k.serve(&group)
		for range 10 {
			server.Open(t, "/")
		}
		response, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		recorder := ssetest.Record(t, sse.Events(response.Body))
		ssetest.AwaitLen(t, &group, 11)
		group.Dispatch("", "last")
		start := time.Now()
		server.Close()
		wantWithin(t, start, 50*time.Millisecond, "Close")
		if e := recorder.Next(); e.Data != "last" || recorder.End() != nil {
			t.Errorf("got %+v, ended with %v", e, recorder.End())
		}
		response.Body.Close()

		server = k.serve(&group)
		server.Open(t, "/").Close()
		synctest.Wait() // until its handler has noticed
		st := server.Open(t, "/")
		synctest.Wait()
		group.CloseAll()
		st.End()
		r, err := http.NewRequest("PUT", server.URL, http.NoBody) // is refused
		if err != nil {
			t.Fatal(err)
		}
		if response, err = server.Client().Do(r); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		start = time.Now()
		server.Close()
		wantWithin(t, start, 50*time.Millisecond, "Close with connections that are idle")

		server = k.serve(&group)
		server.Open(t, "/").Stall()
		start = time.Now()
		server.Close()
		wantWithin(t, start, 150*time.Millisecond, "Close with a stalled stream")
	})
}

// A client whose body the test does not read, and handlers that ignore Shutdown,
// are cut off after a second. Close does not wait for a handler that ignores that
// too.
func TestCloseCuts(t *testing.T) {
	for _, tt := range []struct {
		path     string
		from, to time.Duration
	}{
		{"/unread", 900 * time.Millisecond, 1100 * time.Millisecond},
		{"/waits", 900 * time.Millisecond, 1100 * time.Millisecond},
		{"/ignores", 1900 * time.Millisecond, 2100 * time.Millisecond},
	} {
		inMemory(t, func(t *testing.T, k kind) {
			group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return []sse.Event{{Data: big}}, nil }}
			finished := make(chan struct{}, 2)
			released := make(chan struct{})
			mux := http.NewServeMux()
			mux.Handle("/unread", &group)
			mux.HandleFunc("/waits", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
				time.Sleep(10 * time.Millisecond) // fake: Close waits for it
				finished <- struct{}{}
			})
			mux.HandleFunc("/ignores", func(w http.ResponseWriter, _ *http.Request) {
				http.NewResponseController(w).Flush()
				<-released
			})
			server := k.serve(mux)
			response, err := server.Client().Get(server.URL + tt.path)
			if err != nil {
				t.Fatal(err)
			}
			var st *ssetest.Stream
			if tt.path == "/waits" {
				st = server.Open(t, tt.path)
			}
			synctest.Wait()
			start := time.Now()
			server.Close()
			if d := time.Since(start); d < tt.from || d > tt.to {
				t.Errorf("%s: Close took %v", tt.path, d)
			}
			if tt.path == "/waits" {
				if err := st.End(); err == nil || err.Error() != "ssetest: stream cut by Server.Close" {
					t.Errorf("the stream ended with %v", err)
				}
				select {
				case <-finished:
				default:
					t.Error("the handler still runs")
				}
			}
			close(released)
			response.Body.Close()
			synctest.Wait()
		})
	}
}

// A response in progress when the server is closed is completed, even a stream
// that ignores Shutdown.
func TestCloseWaitsForHandlers(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(w).Flush()
			time.Sleep(500 * time.Millisecond) // fake
			io.WriteString(w, "data: done\n\n")
		}))
		st := server.Open(t, "/")
		var answering sync.WaitGroup
		answering.Go(func() {
			response, err := server.Client().Get(server.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); string(body) != "data: done\n\n" || err != nil {
				t.Errorf("got %q, error %v", body, err)
			}
		})
		synctest.Wait()
		server.Close()
		answering.Wait()
		if n, err := len(st.Events()), st.End(); n != 1 || err != nil {
			t.Errorf("%d events, ended with %v", n, err)
		}
		if _, err := server.Client().Get(server.URL); err == nil {
			t.Error("a closed server answers")
		}
	})
}

// A stalled stream ends because of the shutdown, as in a program that has the time
// to wait for it.
func TestCloseReason(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		sources := make(chan *sse.EventSource, 1)
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, nil, func(source *sse.EventSource) { sources <- source })
		}))
		server.Open(t, "/").Stall()
		source := <-sources
		var group sse.Set
		group.Add(source)
		group.Dispatch("", big)
		synctest.Wait()
		server.Close()
		if err := source.Wait(); !errors.Is(err, sse.ErrShutdown) {
			t.Errorf("ended with %v", err)
		}
	})
}
