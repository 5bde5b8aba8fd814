package sse_test

import (
	"context"
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
