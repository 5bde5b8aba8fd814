package locks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/presence"
)

const (
	maxKey = 384 // bytes as JSON: with the table's name, less than a store's limit

	// freeTTL is how long a shared store keeps the record of a free lock, so that
	// all processes see why it was released.
	freeTTL = time.Minute

	// storeTimeout limits each attempt of the table's own to change a record, and
	// retryDelay is how long it waits after a failed one.
	storeTimeout = 5 * time.Second
	retryDelay   = time.Second

	// sweepInterval is how often a shared table looks for locks that were not
	// released, and hubTimeout how long it waits for the hub to report a change.
	sweepInterval = 2 * time.Second
	hubTimeout    = 5 * time.Second

	// arrivalTimeout is how long to wait for a session that may have just connected
	// to another process, and arrivalTick how often to look for it.
	arrivalTimeout = time.Second
	arrivalTick    = 10 * time.Millisecond
)

func (t *Table[K]) init() {
	t.once.Do(func() {
		if t.Presence == nil {
			panic("locks: a Table needs a Presence")
		}
		t.entries = make(map[string]*entry[K])
		t.parts = make(map[presence.Session][]string)
		t.prefix = "lock/" + t.Name + "/"
		t.live = make(chan struct{})
		t.ctx, t.cancel = context.WithCancel(context.Background())
		t.unsubscribe = t.Presence.OnLeave(t.removeSession)
		if t.store = t.Store; t.store == nil {
			t.store = new(backplane.Memory)
			close(t.live)
			return
		}
		t.running.Go(t.watch)
		t.running.Go(t.sweep)
	})
}

// recordKey returns the key of a lock's record.
func (t *Table[K]) recordKey(key K) (string, error) {
	var back K
	b, err := json.Marshal(key)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrInvalidKey, err)
	case back != key: // a part that JSON leaves out, or text that is not UTF-8
		return "", fmt.Errorf("%w: does not survive a JSON round trip: %.40s", ErrInvalidKey, b)
	case len(b) > maxKey:
		return "", fmt.Errorf("%w: is %d bytes long as JSON, limit %d", ErrInvalidKey, len(b), maxKey)
	}
	return t.prefix + string(b), nil
}

// encode returns the record's value and how long the store keeps it. The table's own
// store keeps no record of a free lock, since no other process has to see it.
func (t *Table[K]) encode(s state) ([]byte, time.Duration) {
	if s.Holder == nobody && t.Store == nil {
		return nil, 0
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a state is plain data
	}
	if s.Holder == nobody {
		return b, freeTTL
	}
	return b, 0
}

// decode returns the state that a record holds.
func decode(rec backplane.Record) (s state, err error) {
	if rec.Value == nil {
		return state{Cause: Expired}, nil
	}
	if err := json.Unmarshal(rec.Value, &s); err != nil {
		return state{}, fmt.Errorf("locks: record %.100q: %w", rec.Key, err)
	}
	return s, nil
}

// changeRecord applies a step, retrying on conflicts.
func (t *Table[K]) changeRecord(ctx context.Context, name string, key K, do step) (Lock[K], error) {
	select {
	case <-t.live:
	case <-ctx.Done():
		return Lock[K]{Key: key}, context.Cause(ctx)
	}
	for t.ctx.Err() == nil {
		now, rev := t.current(name)
		next, changed, err := do(now)
		if err != nil || !changed {
			return lockOf(key, now), err
		}
		if t.Hub != nil {
			next.After = cursorText(t.Hub.Cursor())
		}
		value, ttl := t.encode(next)
		rec, err := t.store.Swap(ctx, name, rev, value, ttl)
		switch {
		case err == nil:
			next = t.apply(key, rec, next, t.Store == nil)
			t.notify()
			return lockOf(key, next), nil
		case errors.Is(err, backplane.ErrConflict):
			if next, err = decode(rec); err == nil {
				t.apply(key, rec, next, t.Store == nil)
				t.notify()
				continue
			}
		}
		return lockOf(key, now), err
	}
	return Lock[K]{Key: key}, ErrClosed
}

// watch keeps the table in step with the store until the table is closed.
func (t *Table[K]) watch() {
	ready := false
	for t.ctx.Err() == nil {
		err := t.store.Watch(t.ctx, t.prefix, func(batch []backplane.Record, live bool) error {
			for _, rec := range batch {
				var key K
				s, err := decode(rec)
				if err == nil {
					err = json.Unmarshal([]byte(strings.TrimPrefix(rec.Key, t.prefix)), &key)
				}
				if err == nil { // otherwise the record is not a table's
					t.apply(key, rec, s, true)
				}
			}
			t.notify()
			if live && !ready {
				ready = true
				close(t.live)
			}
			return nil
		})
		if err != nil && t.ctx.Err() == nil {
			slog.Warn("locks: watching the store failed; retrying", "table", t.Name, "error", err)
			t.pause()
		}
	}
}

// sweep releases locks of sessions that are not present. It is for sessions whose end
// the table saw before it saw their lock: the two are reported in different ways.
func (t *Table[K]) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	absent := make(map[presence.Session]bool) // at the last tick as well
	for {
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return
		}
		if !t.Presence.Leased() {
			continue // what the tracker knows may be outdated
		}
		before := absent
		absent = make(map[presence.Session]bool)
		for _, s := range t.sessions() {
			if !t.Presence.Present(s) {
				absent[s] = true
				if before[s] {
					t.removeSession(s)
				}
			}
		}
	}
}

// pause waits before the next attempt to reach the store.
func (t *Table[K]) pause() {
	select {
	case <-time.After(retryDelay):
	case <-t.ctx.Done():
	}
}

// cursorText returns the cursor as it is stored, empty for the zero Cursor.
func cursorText(c backplane.Cursor) string {
	if c.Seq == 0 {
		return ""
	}
	return c.String()
}
