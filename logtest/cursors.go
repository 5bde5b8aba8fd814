package logtest

import (
	"errors"
	"math"
	"testing"

	"example.org/sse/backplane"
)

// A cursor of an entry that is no longer kept is a gap.
func testTrimmed(t *testing.T, open Open) {
	const history, count = 50, 200
	name := unique("trimmed")
	l := open(t, name, history)
	cursors := appendAll(t, l, numbered("entry ", count)...)
	for _, l := range []backplane.Log{l, open(t, name, history)} {
		for _, n := range []int{0, 1, count - history - 2} {
			f := follow(t, l, cursors[n])
			if err := f.end(); !errors.Is(err, backplane.ErrGap) || f.batches > 0 {
				t.Errorf("follow from before entry %d: got %v and %d batches, want ErrGap and none", n+2, err, f.batches)
			}
		}
		kept := follow(t, l, backplane.Oldest).untilLive()
		if len(kept) != history || kept[history-1].Cursor != cursors[count-1] {
			t.Errorf("got %d entries kept, want the newest %d", len(kept), history)
		}
		same(t, "after the oldest that is kept", follow(t, l, cursors[count-history]).untilLive(), kept[1:])
	}
}

// A follower whose next entry is no longer kept gets ErrGap, or all entries because it had
// read ahead.
func testOvertaken(t *testing.T, open Open) {
	const history, count = 50, 2000
	name := unique("overtaken")
	l := open(t, name, history)
	gate := make(chan struct{})
	f := followGated(t, l, backplane.Oldest, gate)
	expect(t, &f.changes, "the first batch", func() bool { return f.called })
	cursors := appendAll(t, l, numbered("entry ", count)...)
	close(gate)
	expect(t, &f.changes, "a gap or all entries", func() bool { return f.ended || len(f.entries) == count })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended && !errors.Is(f.err, backplane.ErrGap) {
		t.Errorf("Follow: got %v, want ErrGap", f.err)
	}
	for i, e := range f.entries {
		if e.Cursor != cursors[i] {
			t.Fatalf("entry %d: got cursor %v, want %v", i, e.Cursor, cursors[i])
		}
	}
}

// A cursor that does not belong to the log is a gap.
func testForged(t *testing.T, open Open) {
	name, other := unique("forged"), unique("other")
	l := open(t, name, 0)
	one := appendAll(t, l, numbered("entry ", 5)...)
	another := appendAll(t, open(t, other, 0), numbered("another ", 5)...)
	empty := open(t, unique("empty"), 0)
	for _, tt := range []struct {
		name   string
		log    backplane.Log
		cursor backplane.Cursor
	}{
		{"another nonce", l, backplane.Cursor{Seq: 3, Nonce: one[2].Nonce + 1}},
		{"no nonce", l, backplane.Cursor{Seq: 3}},
		{"the nonce of another entry", l, backplane.Cursor{Seq: 3, Nonce: one[3].Nonce}},
		{"no number", l, backplane.Cursor{Nonce: one[0].Nonce}},
		{"beyond the end", l, backplane.Cursor{Seq: 6, Nonce: one[4].Nonce}},
		{"far beyond the end", l, backplane.Cursor{Seq: math.MaxUint64 - 1, Nonce: one[4].Nonce}},
		{"another log's", l, another[2]},
		{"another log's last", l, another[4]},
		{"in an empty log", empty, one[0]},
	} {
		f := follow(t, tt.log, tt.cursor)
		if err := f.end(); !errors.Is(err, backplane.ErrGap) || f.batches > 0 {
			t.Errorf("%s: got %v and %d batches, want ErrGap and none", tt.name, err, f.batches)
		}
	}
}

// An empty log is live at once, from either end.
func testEmpty(t *testing.T, open Open) {
	l := open(t, unique("empty"), 0)
	oldest, newest := follow(t, l, backplane.Oldest), follow(t, l, backplane.Newest)
	same(t, "oldest", oldest.untilLive(), nil)
	same(t, "newest", newest.untilLive(), nil)
	appendAll(t, l, "one", "two")
	same(t, "newest", newest.first(2), oldest.first(2))
}

// Newest is the end of the log at the time of the call.
func testNewest(t *testing.T, open Open) {
	name := unique("newest")
	l := open(t, name, 0)
	appendAll(t, l, numbered("before ", 5)...)
	f := follow(t, open(t, name, 0), backplane.Newest)
	same(t, "newest", f.untilLive(), nil)
	want := appendAll(t, l, numbered("after ", 3)...)
	for i, e := range f.first(3) {
		if e.Cursor != want[i] {
			t.Errorf("entry %d: got cursor %v, want %v", i, e.Cursor, want[i])
		}
	}
}
