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
	maxKey = 384 // bytes as JSON: with the table's name, less than a store takes

	// freeTTL is how long a shared store keeps the record of a lock that is free,
	// so that all processes hear why it is.
	freeTTL = time.Minute

	// storeTimeout is how long one try at a store may take, for what the table
	// does by itself, and pause how long it waits after one that failed.
	storeTimeout = 5 * time.Second
	pause        = time.Second

	// sweepTime is how often a shared table looks for what nobody has freed, and
	// reachTimeout how long it waits for a hub before a change is told.
	sweepTime    = 2 * time.Second
	reachTimeout = 5 * time.Second

	// arrivalTimeout is how long a session is waited for that may have come to
	// another process just now, and arrivalTick how often it is looked for.
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
		t.forget = t.Presence.OnLeave(t.left)
		if t.store = t.Store; t.store == nil {
			t.store = new(backplane.Memory)
			close(t.live)
			return
		}
		t.running.Go(t.watch)
		t.running.Go(t.sweep)
	})
}

// record returns the key of a lock's record.
func (t *Table[K]) record(key K) (string, error) {
	var back K
	b, err := json.Marshal(key)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrInvalidKey, err)
	case back != key: // a part that JSON leaves out, or text that is no UTF-8
		return "", fmt.Errorf("%w: as JSON it is another one, %.40s", ErrInvalidKey, b)
	case len(b) > maxKey:
		return "", fmt.Errorf("%w: %d bytes as JSON, of %d at most", ErrInvalidKey, len(b), maxKey)
	}
	return t.prefix + string(b), nil
}

// encode returns the record's value, and how long the store keeps it. Nobody else
// has to hear of a free lock if the store is the table's own.
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

// decode returns what a record says.
func decode(rec backplane.Record) (s state, err error) {
	if rec.Value == nil {
		return state{Cause: Expired}, nil
	}
	if err := json.Unmarshal(rec.Value, &s); err != nil {
		return state{}, fmt.Errorf("locks: record %.100q: %w", rec.Key, err)
	}
	return s, nil
}

// changeRecord does a step to a lock, as often as others are faster.
func (t *Table[K]) changeRecord(ctx context.Context, name string, key K, do step) (Lock[K], error) {
	select {
	case <-t.live:
	case <-ctx.Done():
		return Lock[K]{Key: key}, context.Cause(ctx)
	}
	for t.ctx.Err() == nil {
		now, rev := t.look(name)
		next, changed, err := do(now)
		if err != nil || !changed {
			return lockOf(key, now), err
		}
		if t.Hub != nil {
			next.After = position(t.Hub.Cursor())
		}
		value, ttl := t.encode(next)
		rec, err := t.store.Swap(ctx, name, rev, value, ttl)
		switch {
		case err == nil:
			next = t.apply(key, rec, next, t.Store == nil)
			t.tell()
			return lockOf(key, next), nil
		case errors.Is(err, backplane.ErrConflict):
			if next, err = decode(rec); err == nil {
				t.apply(key, rec, next, t.Store == nil)
				t.tell()
				continue
			}
		}
		return lockOf(key, now), err
	}
	return Lock[K]{Key: key}, ErrClosed
}

// watch keeps the table as the store is, until it is closed.
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
				if err == nil { // else it is none of ours
					t.apply(key, rec, s, true)
				}
			}
			t.tell()
			if live && !ready {
				ready = true
				close(t.live)
			}
			return nil
		})
		if err != nil && t.ctx.Err() == nil {
			slog.Warn("locks: the store is asked again", "table", t.Name, "error", err)
			t.rest()
		}
	}
}

// sweep frees what is held by sessions that are not present, and of whose end the
// table was told before it heard of the lock: the two come by different ways.
func (t *Table[K]) sweep() {
	tick := time.NewTicker(sweepTime)
	defer tick.Stop()
	absent := make(map[presence.Session]bool) // the last time as well
	for {
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return
		}
		if !t.Presence.Leased() {
			continue // what is seen may be old
		}
		before := absent
		absent = make(map[presence.Session]bool)
		for _, s := range t.sessions() {
			if !t.Presence.Present(s) {
				absent[s] = true
				if before[s] {
					t.left(s)
				}
			}
		}
	}
}

// rest waits before the store is asked again.
func (t *Table[K]) rest() {
	select {
	case <-time.After(pause):
	case <-t.ctx.Done():
	}
}

// position returns the cursor as it is stored, empty for the zero Cursor.
func position(c backplane.Cursor) string {
	if c.Seq == 0 {
		return ""
	}
	return c.String()
}
