package logtest

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"example.org/sse/backplane"
)

// changes guards state that a test waits for.
type changes struct {
	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, with every change
}

// change changes what is guarded, and wakes those that wait.
func (c *changes) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// A follower follows a log, and checks what every follower must get.
type follower struct {
	t      *testing.T
	cancel context.CancelFunc
	gate   chan struct{} // if not nil, each batch waits until it is closed

	changes

	entries []backplane.Entry
	called  bool // fn was called, and may still wait for the gate
	batches int
	live    bool // there was a live batch
	liveAt  int  // number of entries up to and including it
	ended   bool
	err     error
}

// follow follows a log until the test ends.
func follow(t *testing.T, l backplane.Log, after backplane.Cursor) *follower {
	t.Helper()
	return followGated(t, l, after, nil)
}

func followGated(t *testing.T, l backplane.Log, after backplane.Cursor, gate chan struct{}) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	f := &follower{t: t, cancel: cancel, gate: gate}
	f.changed = make(chan struct{})
	go func() {
		err := l.Follow(ctx, after, f.batch)
		f.change(func() { f.ended, f.err = true, err })
	}()
	t.Cleanup(func() {
		cancel()
		expect(t, &f.changes, "the end of Follow", func() bool { return f.ended })
	})
	return f
}

func (f *follower) batch(batch []backplane.Entry, live bool) error {
	f.change(func() { f.called = true })
	if f.gate != nil {
		<-f.gate
	}
	f.change(func() {
		if len(batch) == 0 && (f.live || !live) {
			f.t.Errorf("got an empty batch, live %v; only the first live one may be empty", live)
		}
		if f.ended {
			f.t.Error("fn was called after Follow returned")
		}
		for _, e := range batch {
			if n := len(f.entries); n > 0 && e.Cursor.Seq != f.entries[n-1].Cursor.Seq+1 {
				f.t.Errorf("got entry %d after entry %d", e.Cursor.Seq, f.entries[n-1].Cursor.Seq)
			}
			f.entries = append(f.entries, e)
		}
		f.batches++
		if live && !f.live {
			f.live, f.liveAt = true, len(f.entries)
		}
	})
	return nil
}

// first waits for n entries and returns them.
func (f *follower) first(n int) []backplane.Entry {
	f.t.Helper()
	expect(f.t, &f.changes, "entries", func() bool {
		if len(f.entries) < n && f.ended {
			f.t.Fatalf("Follow ended after %d of %d entries: %v", len(f.entries), n, f.err)
		}
		return len(f.entries) >= n
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[:n:n]
}

// untilLive waits for the first live batch, and returns all entries up to it.
func (f *follower) untilLive() []backplane.Entry {
	f.t.Helper()
	expect(f.t, &f.changes, "a live batch", func() bool {
		if !f.live && f.ended {
			f.t.Fatalf("Follow ended: %v", f.err)
		}
		return f.live
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[:f.liveAt:f.liveAt]
}

// end waits until Follow has returned, and returns its error.
func (f *follower) end() error {
	f.t.Helper()
	expect(f.t, &f.changes, "the end of Follow", func() bool { return f.ended })
	return f.err
}

// appendAll appends entries one after the other, with their data as their ids.
func appendAll(t *testing.T, l backplane.Log, data ...string) []backplane.Cursor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cursors := make([]backplane.Cursor, len(data))
	for i, d := range data {
		var err error
		if cursors[i], err = l.Append(ctx, d, []byte(d)); err != nil {
			t.Fatalf("append %q: %v", d, err)
		}
	}
	return cursors
}

// same compares entries.
func same(t *testing.T, what string, got, want []backplane.Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d entries, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i].Cursor != want[i].Cursor || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("%s: entry %d: got %v %.80q, want %v %.80q", what, i, got[i].Cursor, got[i].Data, want[i].Cursor, want[i].Data)
		}
	}
}
