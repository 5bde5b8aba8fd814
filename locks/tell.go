package locks

import (
	"context"
	"example.org/sse/backplane"
	"log/slog"
	"slices"
)

// news is a change that has not been told yet.
type news[K comparable] struct {
	change Change[K]
	after  string // the position of the hub that comes first
}

// note notes a change, to be told. The caller holds t.mu.
func (t *Table[K]) note(e *entry[K], before state) {
	c := Change[K]{Lock: e.lock(), Cause: e.Cause, Reason: e.Reason}
	switch {
	case e.Fence != before.Fence:
		c.From = before.Holder
		// A store may leave out what was between two changes.
		switch {
		case before.Holder == nobody && c.Held():
			c.Cause = Taken
		case c.Cause == Taken || c.Cause == Queued:
			c.Cause = Released
		}
	case slices.Equal(e.Queue, before.Queue):
		return // renewed
	}
	if !t.closed && (t.Changed != nil || t.Set != nil && t.ChangeEvent != nil) {
		n := news[K]{change: c}
		if t.Hub != nil {
			n.after = e.After
		}
		t.news = append(t.news, n)
	}
}

// tell tells what was noted, unless somebody does so already: one at a time, in
// order, and with no lock held, so that whoever is told may use the table.
func (t *Table[K]) tell() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.telling || t.closed || len(t.news) == 0 {
		return
	}
	t.telling = true
	if t.Hub == nil {
		t.tellAll()
	} else { // it may have to wait, and callers should not
		t.running.Go(func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.tellAll()
		})
	}
}

// tellAll is called by who is telling, and with t.mu.
func (t *Table[K]) tellAll() {
	defer func() { t.telling = false }() // even if the program's function panics
	for len(t.news) > 0 {
		n := t.news[0]
		t.news = t.news[1:]
		t.mu.Unlock()
		func() {
			defer t.mu.Lock()
			t.dispatch(n)
		}()
	}
	t.news = nil
}

func (t *Table[K]) dispatch(n news[K]) {
	if c, ok := backplane.ParseCursor(n.after); ok {
		ctx, cancel := context.WithTimeout(t.ctx, reachTimeout)
		defer cancel()
		// Better too early than never: who edits something old is told so when
		// he saves it.
		_ = t.Hub.WaitFor(ctx, c)
	}
	if t.Set != nil && t.ChangeEvent != nil {
		if _, err := t.Set.DispatchEvent(t.ChangeEvent(n.change)); err != nil {
			slog.Error("locks: a change was not told", "key", n.change.Key, "error", err)
		}
	}
	if t.Changed != nil {
		t.Changed(n.change)
	}
}
