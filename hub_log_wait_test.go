package sse_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

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

// A mark comes after what was dispatched before, by a process that has not got that yet,
// and nobody is sent it.
func TestMark(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		lag := make(chan bool)
		here := sse.Hub{Log: log}
		defer here.Close()
		there := sse.Hub{Log: &faulty{Log: log, batch: func(batch []backplane.Entry) {
			if len(batch) > 0 {
				<-lag
			}
		}}}
		st := tr.serve(t, here.Set("a")).open()
		synctest.Wait()
		here.Set("a").Dispatch("", "1")
		edit := here.Cursor()
		mark, err := there.Mark(t.Context())
		if err != nil || mark.Seq <= edit.Seq {
			t.Errorf("got mark %v, error %v, want one after %v", mark, err, edit)
		}
		if err := here.WaitFor(t.Context(), mark); err != nil {
			t.Error(err)
		}
		here.Set("a").Dispatch("", "2")
		st.want("message|1", "message|2")
		close(lag)
		there.Close()
		if _, err := there.Mark(t.Context()); !errors.Is(err, sse.ErrClosed) {
			t.Errorf("after Close: got error %v, want %v", err, sse.ErrClosed)
		}
		if mark, err := new(sse.Hub).Mark(t.Context()); err != nil || mark.Seq != 0 {
			t.Errorf("without a log: got mark %v, error %v, want none", mark, err)
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
