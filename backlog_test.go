package sse_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// What a client resumes with does not count against its backlog.
func TestReplayIsFree(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{HistoryBytes: -1, AcceptOptions: &sse.AcceptOptions{Backlog: 10 << 10, WriteTimeout: -1}}
		site := tr.serve(t, &group)
		st := site.open()
		synctest.Wait()
		data := strings.Repeat("x", 100<<10)
		group.Dispatch("", "first")
		st.want("message|first")
		id := st.lastID
		st.close()
		synctest.Wait()
		for range 20 {
			group.Dispatch("", data)
		}
		back := site.open("Last-Event-ID", id)
		synctest.Wait()
		time.Sleep(time.Minute) // fake; the client takes nothing
		group.Dispatch("", "next")
		group.Dispatch("", "last")
		synctest.Wait()
		for range 20 {
			back.want("message|" + data)
		}
		back.want("message|next", "message|last")
	})
}

// A client that has taken nothing for some time is granted one backlog, and one that may
// still read eight. A process that was stopped looks twice: it cannot know what its
// clients would have taken.
func TestBacklogOfStalled(t *testing.T) {
	for _, tt := range []struct {
		name           string
		stalled, pause time.Duration // before the first event, and after each
		want           int           // members
	}{
		{"reading", time.Second, 0, 1},
		{"stopped", 10 * time.Second, 0, 1},
		{"stalled", 10 * time.Second, time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				group := sse.Set{AcceptOptions: &sse.AcceptOptions{Backlog: 100 << 10, WriteTimeout: -1}}
				tr.serve(t, &group).open()
				synctest.Wait()
				group.Dispatch("", strings.Repeat("x", 1<<20))
				time.Sleep(tt.stalled) // fake
				for range 4 {
					group.Dispatch("", strings.Repeat("x", 60<<10))
					time.Sleep(tt.pause) // fake
				}
				synctest.Wait()
				if got := group.Len(); got != tt.want {
					t.Errorf("got %d members, want %d", got, tt.want)
				}
			})
		})
	}
}

// A client that takes small events slowly, and all the time, is no stalled one: not by its
// write timeout, and not by its backlog.
func TestSlowReaderOfSmallEvents(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: 10 * time.Second}}
		st := tr.serve(t, &group).open()
		synctest.Wait()
		const events = 1000
		pad := strings.Repeat(".", 1000)
		go func() { // which a busy machine slows down, for seconds of fake time
			for i := range events {
				group.Dispatch("", strconv.Itoa(i)+pad)
			}
		}()
		for i := range events {
			time.Sleep(50 * time.Millisecond) // fake; a piece takes 1.6 s
			st.want("message|" + strconv.Itoa(i) + pad)
		}
	})
}

// A snapshot that waits does not hide what waits for a member behind it.
func TestMemberBehindSnapshot(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 100 << 10, WriteTimeout: -1})
		tr.serve(t, handler).open()
		source := <-sources
		large := strings.Repeat("x", 1<<20)
		go source.Dispatch("large", large) // the client reads nothing
		time.Sleep(time.Minute)            // fake
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return state("state", large) }}
		group.Add(source)
		for range 4 {
			group.Dispatch("", strings.Repeat("x", 60<<10))
			time.Sleep(time.Second) // fake
		}
		synctest.Wait()
		if got := group.Len(); got != 0 {
			t.Errorf("got %d members, want 0", got)
		}
	})
}

// A snapshot that waits does not count against the backlog, and gives no room either.
func TestBacklogBehindSnapshot(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 10 << 10, WriteTimeout: -1})
		st := tr.serve(t, handler).open()
		source := <-sources
		large, small := strings.Repeat("x", 500<<10), strings.Repeat("y", 6<<10)
		go source.Dispatch("large", large) // the client reads nothing yet
		synctest.Wait()
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return state("state", large) }}
		group.Add(source)
		var sending sync.WaitGroup
		send := func(want int32) {
			t.Helper()
			var sent atomic.Int32
			for range 3 {
				sending.Go(func() {
					if err := source.Dispatch("small", small); err != nil {
						t.Error(err)
					}
					sent.Add(1)
				})
			}
			synctest.Wait()
			if got := sent.Load(); got != want {
				t.Errorf("%d events of 6 KiB were taken, want %d", got, want)
			}
		}
		send(1)
		st.want("large|"+large, "state|"+large, "small|"+small, "small|"+small, "small|"+small)
		sending.Wait()
		go source.Dispatch("large", large)
		synctest.Wait()
		send(2) // the first that waits does not count
		st.want("large|"+large, "small|"+small, "small|"+small, "small|"+small)
		sending.Wait()
	})
}

// A stuck writer has no deadlines, and after the head takes nothing until it is
// released.
type stuck struct {
	http.ResponseWriter
	released chan bool
	writes   int
}

func (w *stuck) Flush() {}

func (w *stuck) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		<-w.released
	}
	return len(p), nil
}

// Whoever waits for room does so for the write timeout, even if the writer
// knows no deadline.
func TestBackpressureWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuck{ResponseWriter: httptest.NewRecorder(), released: make(chan bool)}
		source, err := sse.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), &sse.AcceptOptions{Backlog: 10, WriteTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		go source.Dispatch("", "being written")
		synctest.Wait()
		source.Dispatch("", "next, which does not count")
		start := time.Now()
		if err := source.Dispatch("", "too much"); !errors.Is(err, sse.ErrSlow) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(w.released)
		source.Close()
		if !errors.Is(source.Err(), sse.ErrSlow) {
			t.Errorf("ended with %v", source.Err())
		}
	})
}

// Of many who wait for room only those get in who fit together.
func TestBacklogIsForAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuck{ResponseWriter: httptest.NewRecorder(), released: make(chan bool)}
		source, err := sse.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), &sse.AcceptOptions{Backlog: 1000, WriteTimeout: -1})
		if err != nil {
			t.Fatal(err)
		}
		var taken atomic.Int64
		for range 64 {
			go func() {
				if source.Dispatch("", strings.Repeat("x", 900)) == nil {
					taken.Add(1)
				}
			}()
		}
		for round := range 10 {
			synctest.Wait()
			// The one that writes has not returned; each round the first in the queue
			// and one that fits beside it have.
			if n := taken.Load(); n > int64(2+3*round) {
				t.Fatalf("%d events taken in round %d", n, round)
			}
			w.released <- true
		}
		close(w.released)
		source.Close()
	})
}
