package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// A source that has left a set holds nothing of it: not its events, nor the set.
func TestLeaversHoldNothing(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.listen(t, handler)
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		site.open()
		source := <-sources
		other := new(sse.Set)
		st := site.open()
		ended := <-sources
		other.Add(ended)
		st.close()
		<-ended.Done()
		var forgotten atomic.Bool
		group := &sse.Set{History: -1}
		runtime.AddCleanup(group, func(int) { forgotten.Store(true) }, 0)
		group.Add(source)
		group.Delete(source)
		before := heap()
		for range 1000 {
			group.Dispatch("", strings.Repeat("x", 100<<10))
			other.Dispatch("", strings.Repeat("x", 100<<10))
		}
		if grown := int64(heap()) - int64(before); grown > 10<<20 {
			t.Errorf("%d MiB stay, of 100 dispatched to an empty set", grown>>20)
		}
		group = nil
		eventually(t, 10*time.Second, "the set is garbage", func() bool { runtime.GC(); return forgotten.Load() })
		runtime.KeepAlive(source)
		runtime.KeepAlive(ended)
	})
}

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

// A program is not slowed down for a member whose Snapshot takes long, and what it has
// dispatched meanwhile does not count against that member's backlog.
func TestSlowSnapshotHoldsNobody(t *testing.T) {
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

// What is dispatched while a source is a member reaches it, though it is deleted
// during its Snapshot.
func TestDeleteWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			time.Sleep(time.Second) // fake
			return state("snapshot", "")
		}}
		go group.Add(source)
		synctest.Wait()
		if n, _ := group.Dispatch("", "counted"); n != 1 {
			t.Errorf("%d members, want 1", n)
		}
		group.Delete(source)
		if n, _ := group.Dispatch("", "not counted"); n != 0 {
			t.Errorf("%d members after Delete, want 0", n)
		}
		time.Sleep(2 * time.Second) // fake
		source.Dispatch("", "own")
		st.want("snapshot|", "message|counted", "message|own")
	})
}

// A source that is deleted while it waits for the hub is not counted later.
func TestDeleteBeforeReady(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		ready := make(chan bool)
		hub := sse.Hub{Log: &faulty{Log: new(backplane.Memory), follow: func(ctx context.Context, _ backplane.Cursor) error {
			select {
			case <-ready:
			case <-ctx.Done():
			}
			return nil
		}}}
		defer hub.Close()
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		group := hub.Set("a")
		added := make(chan bool)
		go func() {
			defer close(added)
			hub.Add(source, "a")
		}()
		synctest.Wait()
		if !group.Delete(source) {
			t.Error("Delete returned false, want true")
		}
		close(ready)
		<-added
		if n, err := group.Dispatch("", "not counted"); n != 0 || err != nil {
			t.Errorf("got %d members, error %v; want 0", n, err)
		}
		if group.Has(source) {
			t.Error("Has returned true, want false")
		}
		source.Close()
		for e, err := st.next(); err == nil; e, err = st.next() {
			if e.typ != "last-event-id" {
				t.Errorf("got %+v, want no event", e)
			}
		}
	})
}

// A stream that is closed during a Snapshot ends at once, with what waits and without
// the snapshot.
func TestCloseWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
			time.Sleep(time.Minute) // fake
			return state("snapshot", "")
		}}
		go group.Add(source)
		synctest.Wait()
		group.Dispatch("", "live")
		source.Dispatch("", "own")
		start := time.Now()
		source.Close()
		st.want("message|live", "message|own")
		st.wantEnd()
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v, want no time", took)
		}
		time.Sleep(time.Minute) // fake: Add returns
	})
}

// A source that is deleted from one set while the snapshot of another is made is sent
// none of the first.
func TestDeleteFromNextWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var hub sse.Hub
		hub.NewSet = func(name string, s *sse.Set) {
			s.Snapshot = func(source *sse.EventSource) ([]sse.Event, error) {
				hub.Set("b").Delete(source)
				return state("state", name)
			}
		}
		st := tr.serve(t, rooms(&hub)).openURL(at("a", "b"))
		synctest.Wait()
		hub.Set("a").CloseAll()
		st.want("state|a")
		st.wantEnd()
	})
}

// Events for which Key panics replace no others.
func TestKeyPanics(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		hub := sse.Hub{Log: new(backplane.Memory), NewSet: func(_ string, s *sse.Set) {
			s.Slow = sse.LatestPerKey
			s.Key = func(sse.Event) string { panic("Key") }
		}}
		defer hub.Close()
		st := tr.serve(t, rooms(&hub)).openURL(at("a"))
		synctest.Wait()
		large := strings.Repeat("x", 200<<10)
		for _, data := range []string{large, "1", "2"} { // the client reads nothing yet
			hub.Set("a").Dispatch("", data)
		}
		synctest.Wait()
		st.want("message|"+large, "message|1", "message|2")
	})
}

// A panicking log loses its events whenever the test wants.
type losingLog struct {
	*backplane.Memory
	lose chan bool
}

func (l *losingLog) Follow(ctx context.Context, after backplane.Cursor, take func([]backplane.Entry, bool) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan bool, 1)
	go func() {
		select {
		case <-l.lose:
			lost <- true
			cancel()
		case <-ctx.Done():
		}
	}()
	err := l.Memory.Follow(ctx, after, take)
	select {
	case <-lost:
		return backplane.ErrGap
	default:
		return err
	}
}

// A gap may come at any moment of a join: each source that goes on has a snapshot
// or a gap before what follows. User functions that panic in the hub's goroutine end
// what they were for, are logged, and nothing else ends.
func TestGapWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		var snapshots atomic.Int32
		hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
			if name == "panics" {
				panic("NewSet")
			}
			s.Slow = sse.LatestPerKey
			s.Key = func(e sse.Event) string {
				if e.Data == "panic" {
					panic("Key")
				}
				return e.Type
			}
			s.Snapshot = func(source *sse.EventSource) ([]sse.Event, error) {
				n := snapshots.Add(1)
				time.Sleep(10 * time.Second) // fake
				if strings.Contains(source.URL(), "bad") && n > 3 {
					panic("Snapshot")
				}
				return state("state", fmt.Sprint(n))
			}
		}}
		defer hub.Close()
		site := tr.serve(t, rooms(hub))
		st, bad := site.openURL(at("a", "b")), site.openURL(at("a")+"&bad")
		synctest.Wait()
		time.Sleep(time.Second) // fake: the snapshots are being made
		log.lose <- true
		for range 100 {
			time.Sleep(time.Second)
			hub.Set("a").Dispatch("", "panic")
			func() {
				defer func() { _ = recover() }()
				log.Append(t.Context(), "x"+fmt.Sprint(time.Now().UnixNano()), sealed("panics"))
			}()
		}
		hub.Set("a").Dispatch("", "last")
		if _, err := readUntil(bad, "last"); err == nil {
			t.Error("the stream whose Snapshot panicked goes on")
		}
		types, err := readUntil(st, "last")
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(types, "state"); n < 2 {
			t.Errorf("got %s, want a snapshot of each set", types)
		}
	})
}

// A gap while a new source joins is reported for its sets without a Snapshot: they may
// have lost what was dispatched since.
func TestGapOfNewSource(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
			if name == "slow" {
				s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
					time.Sleep(10 * time.Second) // fake
					return state("state", "")
				}
			}
		}}
		defer hub.Close()
		st := tr.serve(t, rooms(hub)).openURL(at("plain", "slow"))
		time.Sleep(time.Second) // fake: the snapshot is being made
		log.lose <- true
		time.Sleep(time.Minute) // fake
		hub.Set("plain").Dispatch("", "last")
		types, err := readUntil(st, "last")
		if err != nil || !strings.Contains(types, "gap") {
			t.Errorf("got %q, error %v; want a gap", types, err)
		}
	})
}

// A hub that is closed during a gap leaves its sources usable.
func TestCloseHubInGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log}
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		hub.Add(source, "a")
		log.lose <- true
		synctest.Wait() // the hub waits before it follows the log again
		hub.Close()
		source.Dispatch("", "own")
		st.want("message|own")
	})
}

// readUntil reads up to an event with that data, and returns all types.
func readUntil(st *stream, data string) (types string, err error) {
	for {
		e, err := st.next()
		if err != nil {
			return types, err
		}
		types += e.typ + " "
		if e.data == data {
			return types, nil
		}
	}
}

// sealed is an empty event for a set, as a hub's log has it.
func sealed(name string) []byte {
	return append(append([]byte{1, 0, byte(len(name))}, name...), 0, 0, 0)
}

// LatestPerKey does not bring anything from before a gap after the snapshot.
func TestLatestOverGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		if tr.http2 {
			t.Skip("the client's own buffers take it all")
		}
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) {
			s.Slow = sse.LatestPerKey
			s.AcceptOptions = &sse.AcceptOptions{WriteTimeout: -1}
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("state", "new") }
		}}
		defer hub.Close()
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, &sse.AcceptOptions{WriteTimeout: -1}, func(source *sse.EventSource) { hub.Add(source, "a") })
		}))
		st := site.open()
		synctest.Wait()
		if _, err := hub.Set("a").Dispatch("large", strings.Repeat("x", 200<<10)); err != nil { // is not read yet
			t.Fatal(err)
		}
		synctest.Wait()
		hub.Set("a").Dispatch("value", "1")
		hub.Set("a").Dispatch("value", "2")
		synctest.Wait()
		log.lose <- true
		time.Sleep(3 * time.Second) // fake
		hub.Set("a").Dispatch("value", "3")
		var got []string
		for len(got) == 0 || got[len(got)-1] != "value|3" {
			e, err := st.next()
			if err != nil {
				t.Fatal(err)
			}
			if len(e.data) < 10 {
				got = append(got, e.typ+"|"+e.data)
			}
		}
		if want := []string{"state|new", "value|2", "state|new", "value|3"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Nobody waits for the snapshots of others after a gap.
func TestGapWithSlowSnapshots(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		var gap atomic.Bool
		hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
				if name == "slow" && gap.Load() {
					time.Sleep(time.Minute) // fake
				}
				return state("state", "")
			}
		}}
		defer hub.Close()
		site := tr.serve(t, rooms(hub))
		for range 200 {
			site.openURL(at("slow"))
		}
		st := site.openURL(at("fast"))
		st.want("state|")
		synctest.Wait()
		gap.Store(true)
		log.lose <- true
		start := time.Now()
		st.want("state|")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the snapshot came after %v", took)
		}
	})
}

// A log whose event takes long to come back does not turn an order round.
func TestSlowEcho(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		lag := make(chan bool)
		log := &laggingLog{Memory: new(backplane.Memory), lag: lag}
		hub := &sse.Hub{Log: log}
		defer hub.Close()
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		hub.Add(source, "a")
		time.AfterFunc(5*time.Second, func() { close(lag) })
		if _, err := hub.Set("a").Dispatch("", "1"); err != nil {
			t.Error(err)
		}
		source.Dispatch("", "2")
		st.want("message|1", "message|2")

		stuck := &laggingLog{Memory: new(backplane.Memory), lag: make(chan bool)}
		other := &sse.Hub{Log: stuck}
		defer other.Close()
		if _, err := other.Set("a").Dispatch("", "1"); !errors.Is(err, backplane.ErrIndeterminate) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an event that does not come back: %v, want ErrUnknown", err)
		}
	})
}

// A laggingLog holds entries back until lag is closed.
type laggingLog struct {
	*backplane.Memory
	lag chan bool
}

func (l *laggingLog) Follow(ctx context.Context, after backplane.Cursor, take func([]backplane.Entry, bool) error) error {
	return l.Memory.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
		if len(batch) > 0 {
			select {
			case <-l.lag:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return take(batch, live)
	})
}
