package locks

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"example.org/sse/backplane"
)

// A notice is a change that has not been reported yet.
type notice[K comparable] struct {
	change Change[K]
	after  string // the hub's cursor to wait for first
	late   time.Time
}

// noteLocked adds a change of an entry to the notices.
func (t *Table[K]) noteLocked(e *entry[K], before, now state) {
	c := Change[K]{Lock: e.lockOf(now), Cause: now.Cause, Reason: now.Reason}
	switch {
	case now.Fence != before.Fence:
		c.From = before.Holder
		// A store may skip the states between two changes.
		switch {
		case before.Holder == nobody && c.Held():
			c.Cause = Taken
		case c.Cause == Taken || c.Cause == Queued:
			c.Cause = Released
		}
	case slices.Equal(now.Queue, before.Queue):
		return // renewed
	}
	if !t.closed && (t.Changed != nil || t.group.Len() > 0) {
		n := notice[K]{change: c}
		if t.Hub != nil && t.isLive() { // what was there before is no news that could be early
			n.after, n.late = now.After, time.Now().Add(hubTimeout)
		}
		t.notices = append(t.notices, n)
	}
}

// notify reports the notices, unless another goroutine is doing so: one at a time,
// in order, and with no lock held, so that the program's functions may use the table.
func (t *Table[K]) notify() {
	t.mu.Lock()
	if t.notifying || t.closed || len(t.notices) == 0 {
		t.mu.Unlock()
		return
	}
	t.notifying = true
	if t.Hub != nil || t.store != nil { // reporting may block, and callers should not
		t.running.Go(t.notifyAll)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	t.notifyAll()
}

// notifyAll reports notices until there are none. The caller has set t.notifying.
func (t *Table[K]) notifyAll() {
	ended := false
	defer func() {
		if !ended { // a function of the program panicked
			t.mu.Lock()
			t.notifying = false
			t.mu.Unlock()
		}
	}()
	for {
		t.mu.Lock()
		if len(t.notices) == 0 {
			t.notices, t.notifying, ended = nil, false, true
			t.mu.Unlock()
			return
		}
		n := t.notices[0]
		t.notices = t.notices[1:]
		t.mu.Unlock()
		t.report(n)
	}
}

// report dispatches a change and calls Changed.
func (t *Table[K]) report(n notice[K]) {
	if c, ok := backplane.ParseCursor(n.after); ok {
		ctx, cancel := context.WithDeadline(t.ctx, n.late)
		defer cancel()
		// Reporting too early is better than never: the save of a user who edits an
		// outdated version is refused.
		_ = t.Hub.WaitFor(ctx, c)
	}
	if t.group.Len() > 0 {
		if _, err := t.group.DispatchEvent(t.changeEvent(n.change)); err != nil {
			slog.Error("locks: dispatching a change failed", "key", n.change.Key, "error", err)
		}
	}
	if t.Changed != nil {
		t.Changed(n.change)
	}
}
