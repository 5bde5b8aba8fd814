package sse_test

import (
	"context"
	"runtime"
	"strings"
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
