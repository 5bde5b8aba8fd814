package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

func TestDispatchArrivesAtOnce(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		start := time.Now()
		for i := range 3 {
			if err := source.Dispatch("n", strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
			st.want("n|" + strconv.Itoa(i))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %v", d)
		}
		source.Close()
		st.wantEnd()
	})
}

// 64 goroutines × 1,000 events: all arrive, whole, and each goroutine's in order.
func TestManyDispatchers(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.listen(t, handler).open()
		source := <-sources
		const goroutines, events = 64, 1000
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range events {
					if err := source.Dispatch(strconv.Itoa(g), fmt.Sprintf("%d\nof %d", i, g)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		var next [goroutines]int
		for range goroutines * events {
			e, err := st.next()
			if err != nil {
				t.Fatal(err)
			}
			g, _ := strconv.Atoi(e.typ)
			if want := fmt.Sprintf("%d\nof %d", next[g], g); e.data != want {
				t.Fatalf("goroutine %d: got %q, want %q", g, e.data, want)
			}
			next[g]++
		}
		wg.Wait()
		source.Close()
		st.wantEnd()
	})
}

func TestKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		option time.Duration
		after  time.Duration
		want   int
	}{
		{0, 29 * time.Second, 0},
		{0, 91 * time.Second, 3},
		{time.Second, 10*time.Second + 500*time.Millisecond, 10},
		{-1, time.Hour, 0},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			handler, sources := connected(&sse.AcceptOptions{KeepAlive: tt.option})
			st := tr.serve(t, handler).open()
			source := <-sources
			go func() {
				time.Sleep(tt.after)
				source.Close()
			}()
			st.wantEnd()
			if got := st.comments - 1; got != tt.want { // the first came with the head
				t.Errorf("keep-alive %v: %d comments in %v, want %d", tt.option, got, tt.after, tt.want)
			}
		})
	}
}

// A comment does not count as an update, and an event does.
func TestUpdatedAt(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{KeepAlive: time.Second})
		st := tr.serve(t, handler).open()
		source := <-sources
		for _, want := range []time.Duration{0, 10 * time.Second} {
			time.Sleep(10 * time.Second) // fake
			if got := source.UpdatedAt().Sub(source.OpenedAt()).Truncate(time.Second); got != want {
				t.Errorf("updated after %v, want %v", got, want)
			}
			source.Dispatch("", "1")
			st.want("message|1")
		}
	})
}

// Only silence is answered with a comment.
func TestKeepAliveIsByIdleTime(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		go func() {
			for range 10 {
				time.Sleep(20 * time.Second)
				source.Dispatch("", "x")
			}
			time.Sleep(45 * time.Second)
			source.Close()
		}()
		for range 10 {
			st.want("message|x")
		}
		if st.comments != 1 {
			t.Errorf("%d comments between events", st.comments-1)
		}
		st.wantEnd()
		if st.comments != 2 {
			t.Errorf("%d comments in 45 s of silence, want 1", st.comments-1)
		}
	})
}

// A client that reads nothing ends its own stream, after the write timeout, and
// on HTTP/2 no other stream of its connection.
func TestStalledClient(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{WriteTimeout: 3 * time.Second})
		site := tr.serve(t, handler)
		stalled := site.open()
		source := <-sources
		reading := site.open()
		neighbour := <-sources

		start := time.Now()
		err := source.Dispatch("", strings.Repeat("x", 20<<20))
		if tr.detached { // then nobody waits for a write that has begun
			if err != nil || time.Since(start) != 0 {
				t.Errorf("Dispatch: %v after %v", err, time.Since(start))
			}
			err = source.Wait()
		}
		if d := time.Since(start).Truncate(100 * time.Millisecond); !errors.Is(err, sse.ErrSlow) || d != 3*time.Second {
			t.Errorf("Dispatch: %v after %v; want ErrSlow after 3s", err, d)
		}
		if !errors.Is(source.Err(), sse.ErrSlow) || source.ReadyState() != sse.Closed || source.Dispatch("", "") != source.Err() {
			t.Errorf("ended with %v, state %v", source.Err(), source.ReadyState())
		}
		if err := neighbour.Dispatch("", "alive"); err != nil {
			t.Error(err)
		}
		reading.want("message|alive")
		if _, err := stalled.next(); err == nil || err == io.EOF {
			t.Errorf("the stalled client sees %v; want an error", err)
		}
	})
}

// Dispatch waits for a slow reader, and loses nothing.
func TestBackpressure(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 10_000})
		st := tr.serve(t, handler).open()
		source := <-sources
		const events = 100
		data := strings.Repeat("x", 100_000)
		start := time.Now()
		go func() {
			for range events {
				source.Dispatch("", data)
			}
			source.Close()
		}()
		for range events {
			time.Sleep(time.Second)
			st.want("message|" + data)
		}
		st.wantEnd()
		if d := time.Since(start); d != events*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// Several dispatchers wait for room, at most the write timeout.
func TestBackpressureTimeout(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 1 << 10, WriteTimeout: 5 * time.Second})
		tr.serve(t, handler).open()
		source := <-sources
		start := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for source.Dispatch("", strings.Repeat("x", 100<<10)) == nil {
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 5*time.Second || !errors.Is(source.Wait(), sse.ErrSlow) {
			t.Errorf("ended after %v with %v", d, source.Err())
		}
	})
}

// An event larger than the backlog is sent all the same.
func TestEventLargerThanBacklog(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 10})
		st := tr.serve(t, handler).open()
		source := <-sources
		data := strings.Repeat("line\n", 100_000)
		go source.Dispatch("", data)
		st.want("message|" + data)
	})
}

func TestNilSource(t *testing.T) {
	t.Run("nil", func(t *testing.T) { testNoSource(t, nil, sse.Closed) })
	t.Run("zero", func(t *testing.T) { testNoSource(t, new(sse.EventSource), sse.Connecting) })
}

func testNoSource(t *testing.T, source *sse.EventSource, state sse.ReadyState) {
	var group sse.Set
	var users sse.Map[int]
	<-source.Done()
	for name, err := range map[string]error{"Dispatch": source.Dispatch("", ""), "Wait": source.Wait(), "Err": source.Err()} {
		if !errors.Is(err, sse.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if source.Close() != nil || source.ReadyState() != state || source.URL()+source.LastEventID() != "" || !source.OpenedAt().IsZero() || !source.UpdatedAt().IsZero() {
		t.Error("a nil source is not a closed one")
	}
	if group.Add(source) || group.Has(source) || group.Delete(source) || users.Store(source, 1) || users.Delete(source) {
		t.Error("a nil source is a member")
	}
}

func TestReadyState(t *testing.T) {
	if sse.Connecting != 0 || sse.Open != 1 || sse.Closed != 2 {
		t.Error("not the browser's values")
	}
}

// Writers of tests work too: they have no server, no deadlines.
func TestRecorder(t *testing.T) {
	w := httptest.NewRecorder()
	var group sse.Set
	done := make(chan bool)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		group.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		close(done)
	}()
	eventually(t, 5*time.Second, "a member", func() bool { return group.Len() == 1 })
	group.Dispatch("", "hello")
	group.CloseAll()
	<-done
	cancel()
	if got := w.Body.String(); !strings.HasSuffix(got, "data: hello\n\n") || !w.Flushed {
		t.Errorf("got %q", got)
	}
}
