package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"example.org/sse"
	"example.org/sse/backplane"
)

// How a process learns that a session is with no process. What it has heard so far may be
// old: another process may have the session, and has not written its record yet, or the
// record is on its way. So it asks all others, by its lease: each answers, by its own lease,
// up to which revision it has seen everything, and has written the records of all sessions
// that it had then. After the answers the records in the store are the truth.

// A leaseRecord is the value of a process's lease.
type leaseRecord struct {
	// Seen is the revision up to which the process has applied all records, and has
	// written those of all sessions that were there at that time.
	Seen uint64 `json:"seen,omitempty"`

	// Ask asks all others to see this revision.
	Ask bool `json:"ask,omitempty"`

	// Closed is set by a process that has no sessions any more, besides those whose
	// records it has left.
	Closed bool `json:"closed,omitempty"`
}

// An ask waits for the answers of all processes.
type ask struct {
	rev  uint64        // of the lease that asks
	done chan struct{} // closed when all have answered
}

// confirm reports whether a session is present at any process, see [sessions.Access].
func (t *Tracker) confirm(ctx context.Context, s Session) (present bool, err error) {
	if t.Store == nil {
		return t.Present(s), nil
	}
	t.start()
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return false, fmt.Errorf("presence: confirm: %w", sse.ErrClosed)
		}
		p := t.sessions[s]
		if p == nil {
			t.mu.Unlock()
			break
		}
		e := t.own[p.key]
		if len(p.others) > 0 || e != nil && e.counts {
			t.mu.Unlock()
			return true, nil
		}
		changed := t.changedLocked()
		t.mu.Unlock()
		if err := t.await(ctx, changed); err != nil { // its record is about to be written
			return false, err
		}
	}
	if err := t.askAll(ctx); err != nil {
		return false, err
	}
	return t.stored(ctx, s)
}

// changedLocked returns a channel that is closed when a record of this process was written
// or deleted.
func (t *Tracker) changedLocked() <-chan struct{} {
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed
}

func (t *Tracker) await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.ctx.Done():
		return fmt.Errorf("presence: confirm: %w", sse.ErrClosed)
	}
}

// askAll waits until all processes with a lease have answered.
func (t *Tracker) askAll(ctx context.Context) error {
	a := &ask{done: make(chan struct{})}
	t.mu.Lock()
	t.asking = append(t.asking, a)
	t.renewSoon()
	t.mu.Unlock()
	return t.await(ctx, a.done)
}

// renewSoon has the lease written.
func (t *Tracker) renewSoon() {
	select {
	case t.renew <- struct{}{}:
	default: // it is about to be
	}
}

// stored reports whether the store has a record of the session, by any process.
func (t *Tracker) stored(ctx context.Context, s Session) (bool, error) {
	t.mu.Lock()
	present := t.sessions[s] != nil
	var nodes []string
	for id, n := range t.nodes {
		if n.leased {
			nodes = append(nodes, id)
		}
	}
	t.mu.Unlock()
	if present {
		return true, nil
	}
	for _, id := range nodes {
		// It deletes what is not there. If there is a record, that is the conflict.
		rec, err := t.Store.Swap(ctx, t.keyAt(s, id), 0, nil, 0)
		var content record
		switch {
		case err == nil:
		case !errors.Is(err, backplane.ErrConflict):
			return false, fmt.Errorf("presence: confirm: %w", err)
		case rec.Value != nil && json.Unmarshal(rec.Value, &content) == nil && content.Life != 0:
			return true, nil
		}
	}
	return t.Present(s), nil
}

// leaseLocked returns what the next lease says.
func (t *Tracker) leaseLocked() leaseRecord {
	seen := t.seen
	for _, e := range t.own {
		if p := t.sessions[e.id]; !e.counts && p != nil && p.life != 0 {
			seen = min(seen, p.from)
		}
	}
	return leaseRecord{Seen: seen, Ask: len(t.asking) > 0}
}

// answerLocked has the lease written if others wait for what it would say.
func (t *Tracker) answerLocked() {
	if t.said < t.asked && t.leaseLocked().Seen >= t.asked {
		t.renewSoon()
	}
}

// answeredLocked ends the asks that all have answered. Processes without a lease need not.
func (t *Tracker) answeredLocked() {
	if len(t.waiting) == 0 || !t.live {
		return
	}
	seen := t.seen
	for _, n := range t.nodes {
		if n.leased {
			seen = min(seen, n.seen)
		}
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(a *ask) bool {
		if a.rev <= seen {
			close(a.done)
			return true
		}
		return false
	})
}
