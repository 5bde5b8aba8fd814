package sse_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// A faulty log is one whose faults a test can choose.
type faulty struct {
	backplane.Log
	follow func(ctx context.Context, after backplane.Cursor) error                         // before each Follow; nil: nothing
	batch  func(batch []backplane.Entry)                                                   // before each batch
	append func(ctx context.Context, id string) (done bool, c backplane.Cursor, err error) // before each Append
}

func (f *faulty) Follow(ctx context.Context, after backplane.Cursor, fn func([]backplane.Entry, bool) error) error {
	if f.follow != nil {
		if err := f.follow(ctx, after); err != nil {
			return err
		}
	}
	return f.Log.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
		if f.batch != nil {
			f.batch(batch)
		}
		return fn(batch, live)
	})
}

func (f *faulty) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	if f.append != nil {
		if done, c, err := f.append(ctx, id); done {
			return c, err
		}
	}
	return f.Log.Append(ctx, id, data)
}

// A node is a process with a hub on a log that others have hubs on.
type node struct {
	*site
	hub *sse.Hub
}

// nodes starts so many, each on what open returns. They are closed with the test.
func nodes(t *testing.T, tr transport, n int, open func(i int) *sse.Hub) []*node {
	var list []*node
	for i := range n {
		hub := open(i)
		t.Cleanup(func() { hub.Close() })
		list = append(list, &node{tr.serve(t, rooms(hub)), hub})
	}
	return list
}

// All members see one order, in whichever process, and what one caller dispatches
// stays in order.
func TestSharedOrder(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 3, func(int) *sse.Hub { return &sse.Hub{Log: log} })
		var streams []*stream
		for _, n := range list {
			streams = append(streams, n.openURL(at("a", "b")))
		}
		synctest.Wait()
		const writers, events = 6, 50
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				set := list[w%3].hub.Set(string("ab"[w/3]))
				for i := range events {
					time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
					if _, err := set.Dispatch(strconv.Itoa(w), strconv.Itoa(i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		var first []string
		for i, st := range streams {
			var got []string
			next := make(map[string]int)
			for range writers * events {
				e, err := st.next()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.typ+"|"+e.data+"|"+e.id)
				if e.data != strconv.Itoa(next[e.typ]) {
					t.Fatalf("writer %s: %s after %d", e.typ, e.data, next[e.typ])
				}
				next[e.typ]++
			}
			if i == 0 {
				first = got
			} else if !slices.Equal(got, first) {
				t.Fatalf("node %d has another order than node 0", i)
			}
		}
	})
}

// A client that goes from process to process gets each event once, with whatever
// id it comes.
func TestSharedResume(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 3, func(int) *sse.Hub {
			return &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) {
				s.Snapshot = func(source *sse.EventSource) ([]sse.Event, error) {
					if source.LastEventID() != "" {
						t.Errorf("a gap at %q", source.LastEventID())
					}
					return nil, nil
				}
			}}
		})
		var writing sync.WaitGroup
		defer writing.Wait()
		const events = 300
		reader := func() {
			id, next := "", 0
			for next < events {
				st := list[rand.IntN(3)].openURL(at("a"), "Last-Event-ID", id)
				for range 1 + rand.IntN(40) {
					e, err := st.next()
					if err != nil {
						t.Error(err)
						return
					}
					if id = e.id; e.typ == "last-event-id" {
						continue
					}
					if e.data != strconv.Itoa(next) {
						t.Errorf("got %s, want %d", e.data, next)
						return
					}
					if next++; next == events {
						break
					}
				}
				st.close()
			}
		}
		var reading sync.WaitGroup
		for range 5 {
			reading.Go(reader)
		}
		synctest.Wait()
		for i := range events {
			list[i%3].hub.Set("a").Dispatch("", strconv.Itoa(i))
			list[i%3].hub.Set("b").Dispatch("", "not for it")
			time.Sleep(time.Millisecond)
		}
		reading.Wait()
	})
}

// What is told by another way can be held back until the events before it are here.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(backplane.Memory)
		lag := make(chan bool)
		here := sse.Hub{Log: log}
		defer here.Close()
		there := sse.Hub{Log: &faulty{Log: log, batch: func(batch []backplane.Entry) {
			if len(batch) > 0 {
				<-lag
			}
		}}}
		defer there.Close()
		here.Set("a").Dispatch("", "1")
		position := here.Cursor()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := there.WaitFor(ctx, position); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitFor: %v", err)
		}
		close(lag)
		for _, position := range []backplane.Cursor{position, {}} {
			if err := there.WaitFor(t.Context(), position); err != nil {
				t.Errorf("WaitFor(%v): %v", position, err)
			}
		}
		if got := there.Cursor(); got != position {
			t.Errorf("at %v, want %v", got, position)
		}
		alone := new(sse.Hub)
		if err := alone.WaitFor(t.Context(), position); alone.Cursor().Seq != 0 || err != nil {
			t.Errorf("without a log: at %v, WaitFor: %v", alone.Cursor(), err)
		}
	})
}

// An entry that no set has counts for WaitFor as well.
func TestReachLaterVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(backplane.Memory)
		lag := make(chan bool)
		hub := sse.Hub{Log: &faulty{Log: log, batch: func(batch []backplane.Entry) {
			if len(batch) > 0 {
				<-lag
			}
		}}}
		defer hub.Close()
		if err := hub.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := log.Append(t.Context(), "0", []byte("\x02later"))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { close(lag) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := hub.WaitFor(ctx, c); err != nil || hub.Cursor() != c {
			t.Errorf("WaitFor: %v, at %v; want nil, at %v", err, hub.Cursor(), c)
		}
	})
}

// A client that has seen what this process has not yet got is waited for.
func TestSharedAhead(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		lag := make(chan bool)
		list := nodes(t, tr, 2, func(i int) *sse.Hub {
			if i == 0 {
				return &sse.Hub{Log: log}
			}
			return &sse.Hub{Log: &faulty{Log: log, batch: func(batch []backplane.Entry) {
				if len(batch) > 0 {
					<-lag
				}
			}}}
		})
		ahead := list[0].openURL(at("a"))
		if err := list[1].hub.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		list[0].hub.Set("a").Dispatch("", "1")
		list[0].hub.Set("a").Dispatch("", "2")
		e, _ := ahead.next()
		back := list[1].openURL(at("a"), "Last-Event-ID", e.id)
		time.Sleep(8 * time.Second) // what a follower may need whose server has died
		close(lag)
		synctest.Wait()
		back.want("message|2")
	})
}

// A client that is ahead of a process is given its time from when the process is
// ready.
func TestSharedAheadOfReady(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		list := nodes(t, tr, 1, func(int) *sse.Hub {
			return &sse.Hub{Log: &faulty{Log: new(backplane.Memory), follow: func(ctx context.Context, _ backplane.Cursor) error {
				select {
				case <-time.After(time.Minute): // fake
				case <-ctx.Done():
				}
				return nil
			}}}
		})
		list[0].openURL(at("a"), "Last-Event-ID", backplane.Cursor{Seq: 7, Nonce: 1}.String())
		for _, tt := range []struct {
			pause time.Duration
			want  int
		}{{65 * time.Second, 0}, {10 * time.Second, 1}} {
			time.Sleep(tt.pause) // fake
			if got := list[0].hub.Set("a").Len(); got != tt.want {
				t.Errorf("after %v: got %d members, want %d", tt.pause, got, tt.want)
			}
		}
	})
}

// An id that the last event of a snapshot has of its own stays.
func TestSharedSnapshotID(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		list := nodes(t, tr, 1, func(int) *sse.Hub {
			return &sse.Hub{Log: new(backplane.Memory), NewSet: func(_ string, s *sse.Set) {
				s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
					return []sse.Event{{Type: "state", ID: "own"}}, nil
				}
			}}
		})
		list[0].hub.Set("a").Dispatch("", "1")
		st := list[0].openURL(at("a"))
		if e, err := st.next(); err != nil || e.typ != "state" || e.id != "own" {
			t.Errorf("got %+v, error %v; want the state with its own id", e, err)
		}
	})
}

// Before a process has read the log nobody joins: what was dispatched before is
// history, not news.
func TestSharedReady(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		first := sse.Hub{Log: log}
		defer first.Close()
		first.Set("a").Dispatch("", "old")
		block := make(chan bool)
		list := nodes(t, tr, 1, func(int) *sse.Hub {
			return &sse.Hub{Log: &faulty{Log: log, follow: func(ctx context.Context, _ backplane.Cursor) error {
				select {
				case <-block:
				case <-ctx.Done():
				}
				return nil
			}}}
		})
		st := list[0].openURL(at("a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := list[0].hub.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready: %v", err)
		}
		if n := list[0].hub.Set("a").Len(); n != 0 {
			t.Errorf("%d have joined", n)
		}
		close(block)
		if err := list[0].hub.WaitReady(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		synctest.Wait()
		first.Set("a").Dispatch("", "new")
		if e, _ := st.next(); e.typ != "last-event-id" {
			t.Errorf("got %+v", e)
		}
		st.want("message|new")
	})
}
