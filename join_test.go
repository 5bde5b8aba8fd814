package sse_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// Two goroutines add one source to two sets, and either snapshot may end first.
func TestJoinsOverlap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for first := range 2 {
			handler, sources := connected(nil)
			st := tr.serve(t, handler).open()
			source := <-sources
			var sets [2]sse.Set
			var release [2]chan bool
			for i := range sets {
				release[i] = make(chan bool)
				sets[i].Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
					<-release[i]
					return state("snapshot", strconv.Itoa(i))
				}
				go sets[i].Add(source)
				synctest.Wait()
			}
			for i := range sets {
				sets[i].Dispatch("live", strconv.Itoa(i))
			}
			go source.Dispatch("own", "")
			synctest.Wait()
			close(release[first])
			synctest.Wait()
			close(release[1-first])
			st.want("snapshot|0", "snapshot|1", "live|0", "live|1", "own|")
			source.Close()
			st.wantEnd()
		}
	})
}

// What one goroutine sends while snapshots overlap keeps its order.
func TestOrderWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		var plain sse.Set
		plain.Add(source)
		slow := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			time.Sleep(time.Minute) // fake
			return state("snapshot", "")
		}}
		go slow.Add(source)
		synctest.Wait()
		for i := range 100 {
			switch i % 3 {
			case 0:
				plain.Dispatch("", strconv.Itoa(i))
			case 1:
				slow.Dispatch("", strconv.Itoa(i))
			default:
				source.Dispatch("", strconv.Itoa(i))
			}
		}
		st.want("snapshot|")
		for i := range 100 {
			st.want("message|" + strconv.Itoa(i))
		}
	})
}

// A Snapshot may add its source elsewhere, fill its queue and its set, and take its
// time: the state comes first, and a client that reads is not slow.
func TestSnapshotIsFree(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		const size, events = 100 << 10, 100 // ten backlogs
		var group, inner sse.Set
		inner.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("inner", "") }
		var producing sync.WaitGroup
		data := strings.Repeat("x", size)
		group.Snapshot = func(source *sse.EventSource) (events2 []sse.Event, err error) {
			inner.Add(source)
			for range 3 {
				producing.Go(func() {
					for range events / 3 {
						if err := source.Dispatch("own", data); err != nil {
							t.Errorf("Dispatch: %v", err)
						}
					}
				})
			}
			for range events {
				group.Dispatch("live", data)
				events2 = append(events2, sse.Event{Type: "state", Data: data})
			}
			time.Sleep(time.Hour) // fake; longer than any timeout
			return events2, nil
		}
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		go group.Add(source)
		got := make(map[string]int)
		for range 1 + events + events + events/3*3 {
			e, err := st.next()
			if err != nil {
				t.Fatalf("after %v: %v; the stream's end %v", got, err, source.Err())
			}
			if e.typ == "live" && got["state"] != events {
				t.Fatalf("after %v came %s", got, e.typ)
			}
			got[e.typ]++
		}
		producing.Wait()
		source.Close()
		st.wantEnd()
	})
}

// A program is not slowed down for a member whose Snapshot takes long, not where
// goroutines have to wait for a processor either, and what it has dispatched meanwhile
// does not count against that member's backlog.
func TestSlowSnapshotHoldsNobody(t *testing.T) {
	crowd(t)
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{WriteTimeout: -1})
		st := tr.serve(t, handler).open()
		source := <-sources
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			time.Sleep(time.Minute) // fake
			return state("state", "")
		}}
		go group.Add(source)
		synctest.Wait()
		data := strings.Repeat("x", 100<<10)
		start := time.Now()
		for range 100 {
			group.Dispatch("", data)
		}
		if took := time.Since(start); took > 10*time.Millisecond {
			t.Errorf("100 dispatches took %v, want no time", took)
		}
		time.Sleep(2 * time.Minute) // fake; the client takes nothing, and ten backlogs wait
		group.Dispatch("", "1")
		group.Dispatch("", "2")
		synctest.Wait()
		st.want("state|")
		for range 100 {
			st.want("message|" + data)
		}
		st.want("message|1", "message|2")
	})
}

// crowd keeps all processors busy until the test has ended.
func crowd(t *testing.T) {
	var over atomic.Bool
	t.Cleanup(func() { over.Store(true) })
	for range 4 * runtime.GOMAXPROCS(0) {
		go func() {
			for !over.Load() {
			}
		}()
	}
	time.Sleep(300 * time.Millisecond) // real: so that they have waited for each other
}

// What a Map gives to a source whose Snapshot is being made is not too much.
func TestMapWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 1 << 10})
		st := tr.serve(t, handler).open()
		source := <-sources
		slow := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			time.Sleep(time.Minute) // fake
			return state("state", "")
		}}
		var own sse.Map[int]
		own.Store(source, 1)
		go slow.Add(source)
		synctest.Wait()
		data := strings.Repeat("x", 1<<10)
		for range 20 {
			own.DispatchFunc(func(*sse.EventSource, int) (sse.Event, bool) { return sse.Event{Data: data}, true })
		}
		st.want("state|")
		for range 20 {
			st.want("message|" + data)
		}
	})
}

// What is dispatched while an empty snapshot is made arrives after it, without another
// event.
func TestEmptySnapshot(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{KeepAlive: -1})
		st := tr.serve(t, handler).open()
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			time.Sleep(time.Minute) // fake
			return nil, nil
		}}
		go group.Add(<-sources)
		synctest.Wait()
		group.Dispatch("", "1")
		start := time.Now()
		st.want("message|1")
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v, want the Snapshot's minute", took)
		}
	})
}

// A Snapshot that fails or panics ends its own stream, with a reason; the source's
// other sets, and the set's other sources, go on.
func TestSnapshotFails(t *testing.T) {
	fails := errors.New("no database")
	for _, tt := range []struct {
		name     string
		snapshot func() ([]sse.Event, error)
		want     error
	}{
		{"error", func() ([]sse.Event, error) { return nil, fails }, fails},
		{"events and error", func() ([]sse.Event, error) { e, _ := state("half", ""); return e, fails }, fails},
		{"invalid event", func() ([]sse.Event, error) { return state("a\nb", "") }, sse.ErrInvalidEvent},
		{"panic", func() ([]sse.Event, error) { panic("snapshot") }, nil},
		{"Goexit", func() ([]sse.Event, error) { runtime.Goexit(); return nil, nil }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				handler, sources := connected(nil)
				site := tr.serve(t, handler)
				bad := site.open("Last-Event-ID", "bad")
				badSource := <-sources
				good := site.open()
				goodSource := <-sources
				group := sse.Set{Snapshot: func(s *sse.EventSource) ([]sse.Event, error) {
					if s.LastEventID() == "bad" {
						return tt.snapshot()
					}
					return state("fine", "")
				}}
				group.Add(goodSource)
				done := make(chan bool)
				go func() {
					defer close(done)
					defer func() { _ = recover() }() // it belongs to the caller of Add
					group.Add(badSource)
				}()
				<-done
				group.Dispatch("", "1")
				good.want("fine|", "message|1")
				if e, err := bad.next(); err == nil {
					t.Errorf("got %+v, want no event", e)
				}
				if err := badSource.Wait(); err == nil || tt.want != nil && !errors.Is(err, tt.want) || group.Len() != 1 {
					t.Errorf("ended with %v, want %v; %d members, want 1", err, tt.want, group.Len())
				}
			})
		})
	}
}
