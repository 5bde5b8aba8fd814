package locks

import (
	"context"

	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// A follower is what the tracker calls: a table, without these methods for others.
type follower[K comparable] struct{ *Table[K] }

// Apply keeps the table in step with the store. Changes are reported by another goroutine,
// and so are sessions that the tracker has not heard of.
func (f follower[K]) Apply(records []backplane.Record, watch int, listed bool) {
	f.init()
	unknown := f.applyBatch(records, watch, listed)
	f.notify()
	if listed && !f.isLive() {
		close(f.live)
	}
	for _, s := range unknown {
		f.releaseGone(s)
	}
}

// Left releases what a session holds. It is not heard whether a session that has fallen
// silent is at another process, and so that is asked.
func (f follower[K]) Left(s presence.Session, goodbye bool) {
	f.init()
	if goodbye || f.store == nil {
		f.removeSession(s)
	} else {
		f.releaseGone(s)
	}
}

// releaseGone releases what a session holds if no process has it.
func (t *Table[K]) releaseGone(s presence.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.parts[s]) == 0 {
		return
	}
	if _, asked := t.confirming[s]; asked {
		t.confirming[s] = true
		return
	}
	t.confirming[s] = false
	t.running.Go(func() {
		for {
			if t.awaitGone(s) {
				t.removeSession(s)
			}
			t.mu.Lock()
			again := t.confirming[s] && t.ctx.Err() == nil
			if t.confirming[s] = false; !again {
				delete(t.confirming, s)
			}
			t.mu.Unlock()
			if !again {
				return
			}
		}
	})
}

// awaitGone waits until it is certain whether a session is gone.
func (t *Table[K]) awaitGone(s presence.Session) bool {
	for t.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(t.ctx, confirmTimeout)
		present, err := t.sessions.Confirm(ctx, s)
		cancel()
		if err == nil {
			return !present
		}
		t.pause()
	}
	return false
}
