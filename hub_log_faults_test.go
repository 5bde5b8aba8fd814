package sse_test

import (
	"context"
	"errors"
	"fmt"
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

// Whoever has missed something is sent a snapshot, or told of a gap, and gets what
// follows: nothing of it twice, and nothing in between.
func TestSharedGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &backplane.Memory{History: 5}
		var lag sync.Mutex
		list := nodes(t, tr, 2, func(i int) *sse.Hub {
			hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
				if name == "a" {
					s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("state", "now") }
				}
			}}
			if i == 1 {
				hub.Log = &faulty{Log: log, batch: func([]backplane.Entry) {
					lag.Lock()
					defer lag.Unlock()
				}}
			}
			return hub
		})
		a, b := list[1].openURL(at("a")), list[1].openURL(at("b"), "Last-Event-ID", "nonsense")
		fresh := list[1].openURL(at("b")) // came with no id, and has got some since
		synctest.Wait()
		a.want("state|now")
		b.want("gap|")
		list[0].hub.Set("a").Dispatch("", "1")
		list[0].hub.Set("b").Dispatch("", "1")
		synctest.Wait()
		a.want("message|1")
		b.want("message|1")
		fresh.want("message|1")
		lag.Lock()
		var all string
		for i := range 40 { // more than the log keeps
			all += fmt.Sprint("message|missed ", i, ",")
			list[0].hub.Set("a").Dispatch("", fmt.Sprint("missed ", i))
			list[0].hub.Set("b").Dispatch("", fmt.Sprint("missed ", i))
		}
		lag.Unlock()
		late := list[1].openURL(at("a"))
		time.Sleep(5 * time.Second)
		if err := list[1].hub.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		list[0].hub.Set("a").Dispatch("", "2")
		list[0].hub.Set("b").Dispatch("", "2")
		for _, tt := range []struct {
			name  string
			st    *stream
			after string
		}{{"a", a, "state|now"}, {"b", b, "gap|"}, {"fresh", fresh, "gap|"}, {"late", late, "state|now"}} {
			var got []string
			for len(got) == 0 || got[len(got)-1] != "message|2" {
				e, err := tt.st.next()
				if err != nil {
					t.Fatal(err)
				}
				if e.typ != "last-event-id" {
					got = append(got, e.typ+"|"+e.data)
				}
			}
			n := len(got)
			if n < 2 || got[n-2] != tt.after {
				t.Errorf("%s: got %q, want %q before the newest", tt.name, got, tt.after)
			}
			var missed string // what came before the gap was in order
			for _, text := range got[:max(n-2, 0)] {
				if text != tt.after {
					missed += text + ","
				}
			}
			if !strings.HasPrefix(all, missed) && (tt.st != late || !strings.Contains(all, ","+missed)) { // late joins then
				t.Errorf("%s: got %q", tt.name, got)
			}
		}
	})
}

// A source that waits for the hub has not missed what was lost before.
func TestGapBeforeReady(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		gap := make(chan bool)
		var once atomic.Bool
		hub := sse.Hub{Log: &faulty{Log: new(backplane.Memory), follow: func(ctx context.Context, _ backplane.Cursor) error {
			if once.Swap(true) {
				return nil
			}
			select {
			case <-gap:
			case <-ctx.Done():
			}
			return backplane.ErrGap
		}}}
		defer hub.Close()
		st := tr.serve(t, rooms(&hub)).openURL(at("a"))
		synctest.Wait()
		close(gap)
		time.Sleep(5 * time.Second) // fake
		hub.Set("a").Dispatch("", "1")
		st.want("message|1")
	})
}

// A client that left before a gap, and names the newest event of its set from then,
// does not resume over the gap.
func TestResumeOverGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &backplane.Memory{History: 5}
		var lag atomic.Bool
		list := nodes(t, tr, 2, func(i int) *sse.Hub {
			if i == 0 {
				return &sse.Hub{Log: log}
			}
			return &sse.Hub{Log: &faulty{Log: log, batch: func([]backplane.Entry) {
				for lag.Load() {
					time.Sleep(time.Millisecond) // fake
				}
			}}}
		})
		st := list[1].openURL(at("a"))
		synctest.Wait()
		list[0].hub.Set("a").Dispatch("", "1")
		e, err := st.next()
		if err != nil {
			t.Fatal(err)
		}
		st.close()
		synctest.Wait()
		lag.Store(true)
		list[0].hub.Set("b").Dispatch("", "") // on its way to the other node, and arrives
		synctest.Wait()
		for i := range 40 { // more than the log keeps
			list[0].hub.Set("a").Dispatch("", fmt.Sprint("missed ", i))
		}
		lag.Store(false)
		time.Sleep(5 * time.Second) // fake
		if err := list[1].hub.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		back := list[1].openURL(at("a"), "Last-Event-ID", e.id)
		back.want("gap|")
	})
}

func TestSharedDispatchErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &faulty{Log: new(backplane.Memory)}
		hub := sse.Hub{Log: log}
		set := hub.Set("a")
		for _, tt := range []struct {
			name string
			set  string
			e    sse.Event
			want error
		}{
			{"type", "a", sse.Event{Type: "a\nb"}, sse.ErrInvalidEvent},
			{"retry", "a", sse.Event{Retry: -1}, sse.ErrInvalidEvent},
			{"data", "a", sse.Event{Data: strings.Repeat("x", 256<<10)}, sse.ErrTooLarge},
			{"name", strings.Repeat(".*> ", 10<<8), sse.Event{}, sse.ErrInvalidEvent},
			{"odd name", ".*> \x00ü", sse.Event{}, nil},
			{"nothing", "", sse.Event{}, nil},
		} {
			_, err := hub.Set(tt.set).DispatchEvent(tt.e)
			if !errors.Is(err, tt.want) || err != nil && tt.want == nil {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		log.append = func(ctx context.Context, _ string) (bool, backplane.Cursor, error) {
			<-ctx.Done()
			return true, backplane.Cursor{}, fmt.Errorf("%w: %w", backplane.ErrIndeterminate, ctx.Err())
		}
		start := time.Now()
		if _, err := set.Dispatch("", "x"); !errors.Is(err, backplane.ErrIndeterminate) || time.Since(start) != 10*time.Second {
			t.Errorf("without an answer: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := set.DispatchOnce(ctx, "", sse.Event{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context: %v", err)
		}
		hub.Close()
		hub.Close()
		if _, err := set.Dispatch("", "x"); !errors.Is(err, sse.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := hub.WaitReady(t.Context()); !errors.Is(err, sse.ErrClosed) && err != nil {
			t.Errorf("closed: Ready: %v", err)
		}
	})
}

// What is dispatched again under the same key comes once, from whichever process. The key
// belongs to its set.
func TestDispatchOnce(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		for _, open := range []func(int) *sse.Hub{
			func(int) *sse.Hub { return &sse.Hub{Log: log} },
			func(int) *sse.Hub { return new(sse.Hub) },
		} {
			list := nodes(t, tr, 1, open)
			st := list[0].openURL(at("a"))
			synctest.Wait()
			long := strings.Repeat("x", 1000)
			for _, key := range []string{"x", "y", "x", "", "", long, long} {
				for _, set := range []string{"b", "a"} {
					if _, err := list[0].hub.Set(set).DispatchOnce(t.Context(), key, sse.Event{Data: key}); err != nil {
						t.Error(err)
					}
				}
			}
			st.want("message|x", "message|y", "message|", "message|", "message|"+long)
			list[0].hub.Set("a").CloseAll()
			st.wantEnd()
		}
	})
}

// A key is forgotten with its event.
func TestDispatchOnceAgain(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{History: 2}
		st := tr.serve(t, &group).open()
		synctest.Wait()
		for i, key := range []string{"x", "y", "x", "z", "x"} { // the history has y and z at the end
			if _, err := group.DispatchOnce(t.Context(), key, sse.Event{Data: key + strconv.Itoa(i)}); err != nil {
				t.Error(err)
			}
		}
		group.CloseAll()
		st.want("message|x0", "message|y1", "message|z3", "message|x4")
		st.wantEnd()
	})
}

// What a later version has appended is left out, and counts all the same: a client
// of that version can come here, and back.
func TestSharedVersions(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 1, func(int) *sse.Hub { return &sse.Hub{Log: log} })
		hub := list[0].hub
		hub.Set("a").Dispatch("", "1")
		var c backplane.Cursor
		for i, data := range []string{"\x02later", "", "\x01", "\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\x00\x01a\x01\n\x00\x00"} {
			c, _ = log.Append(t.Context(), strconv.Itoa(i), []byte(data))
		}
		hub.Set("a").Dispatch("", "2")
		list[0].openURL(at("a"), "Last-Event-ID", c.String()).want("message|2")
	})
}
