package locks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
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

	// markTimeout is how long a release waits for the hub's log to say where it ends.
	markTimeout = time.Second

	// hubTimeout is how long a change waits for the hub before it is reported, and
	// arrivalTimeout how long to wait for a session that may have just connected to
	// another process.
	hubTimeout     = 5 * time.Second
	arrivalTimeout = time.Second

	// confirmTimeout limits each attempt to find out whether a session is gone.
	confirmTimeout = time.Minute
)

func (t *Table[K]) init() {
	if t.Presence == nil {
		panic("locks: a Table needs a Presence")
	}
	if t.Presence.Store != nil {
		t.Presence.Present(nobody) // panics each time, not only the first, if the tracker lacks its Key
	}
	t.once.Do(func() {
		t.entries = make(map[string]*entry[K])
		t.parts = make(map[presence.Session][]string)
		t.ahead = make(map[string]struct{})
		t.turns = make(map[string]*turn)
		t.confirming = make(map[presence.Session]bool)
		t.store = t.Presence.Store
		t.live = make(chan struct{})
		t.ctx, t.cancel = context.WithCancel(context.Background())
		if t.store == nil {
			close(t.live)
		}
		t.group.History = -1 // newcomers get the whole table
		t.group.Snapshot = t.snapshot
		t.Presence.Access(&t.sessions)
		t.prefix, t.detach, t.attached = t.sessions.Attach("lock/"+t.Name, follower[K]{t})
	})
	if !t.attached {
		panic(fmt.Sprintf("locks: two Tables of one Tracker have the Name %q: give each its own", t.Name))
	}
}

// recordKey returns the key of a lock's record.
func (t *Table[K]) recordKey(key K) (string, error) {
	if hasFloat(reflect.ValueOf(&key).Elem()) {
		return "", fmt.Errorf("%w: contains a floating-point number, and 0 and -0 are one key in Go", ErrInvalidKey)
	}
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
	case t.store != nil && len(t.prefix)+len(b) > backplane.MaxKey:
		return "", fmt.Errorf("%w: is %d bytes long as JSON, limit %d with the Names of table and tracker", ErrInvalidKey, len(b), backplane.MaxKey-len(t.prefix))
	}
	return t.prefix + string(b), nil
}

// hasFloat reports whether a key contains a floating-point number.
func hasFloat(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Interface:
		return hasFloat(v.Elem())
	case reflect.Array:
		for i := range v.Len() {
			if hasFloat(v.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if hasFloat(v.Field(i)) {
				return true
			}
		}
	}
	return false
}

// encode returns the record's value and how long the store keeps it.
func encode(s state) ([]byte, time.Duration) {
	b, err := json.Marshal(s.escape(url.QueryEscape))
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
	return s.escape(unescape).withFence(rec.Rev), nil
}

// unescape reverses the escaping of a name. It returns the empty string for other text.
func unescape(s string) string {
	s, _ = url.QueryUnescape(s)
	return s
}

// changeRecord applies a step to a lock in the store, retrying on conflicts.
func (t *Table[K]) changeRecord(ctx context.Context, name string, key K, do step) (Lock[K], error) {
	select {
	case <-t.live:
	case <-ctx.Done():
		return Lock[K]{Key: key}, context.Cause(ctx)
	}
	leave, err := t.awaitTurn(ctx, name)
	if err != nil {
		return Lock[K]{Key: key}, err
	}
	defer leave()
	now, rev := t.current(name)
	for known := false; t.ctx.Err() == nil; known = true { // known: now is from the store
		next, changed, err := do(now)
		if err != nil || !changed {
			if known {
				return t.lock(name, key, now), err
			}
			if now, rev, err = t.read(ctx, name, key, rev); err != nil {
				return Lock[K]{Key: key}, err
			}
			continue
		}
		next.After = t.cursorAfter(ctx, now, next)
		value, ttl := encode(next)
		rec, err := t.store.Swap(ctx, name, rev, value, ttl)
		switch {
		case err == nil:
			next = next.withFence(rec.Rev)
			t.applySwap(key, rec, next, rev)
			return t.lock(name, key, next), nil
		case errors.Is(err, backplane.ErrSize) && len(next.Queue) > len(now.Queue):
			return t.lock(name, key, now), ErrQueueFull
		case !errors.Is(err, backplane.ErrConflict):
			return t.lock(name, key, now), err
		}
		if now, err = decode(rec); err != nil {
			return Lock[K]{Key: key}, err
		}
		t.applySwap(key, rec, now, rev)
		rev = rec.Rev
	}
	return Lock[K]{Key: key}, errClosed
}

// read returns a lock's state and revision as the store has them, where the table knows the
// revision old.
func (t *Table[K]) read(ctx context.Context, name string, key K, old uint64) (state, uint64, error) {
	// It deletes what is not there. If there is a record, that is the conflict.
	rec, err := t.store.Swap(ctx, name, 0, nil, 0)
	if err != nil && !errors.Is(err, backplane.ErrConflict) {
		return state{}, 0, err
	}
	now, err := decode(rec)
	if err == nil {
		t.applySwap(key, rec, now, old)
	}
	return now, rec.Rev, err
}

// A turn lets the goroutines of this process change a lock one after the other. Those that
// change it at one time would all conflict but for one, again and again.
type turn struct {
	taken chan struct{} // of capacity 1
	users int
}

// awaitTurn waits for the turn to change a lock. The caller calls leave afterwards.
func (t *Table[K]) awaitTurn(ctx context.Context, name string) (leave func(), err error) {
	t.mu.Lock()
	o := t.turns[name]
	if o == nil {
		o = &turn{taken: make(chan struct{}, 1)}
		t.turns[name] = o
	}
	o.users++
	t.mu.Unlock()
	select {
	case o.taken <- struct{}{}:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	leave = func() {
		if err == nil {
			<-o.taken
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if o.users--; o.users == 0 {
			delete(t.turns, name)
		}
	}
	if err != nil {
		leave()
	}
	return leave, err
}

// pause waits before the next attempt to reach the store.
func (t *Table[K]) pause() {
	select {
	case <-time.After(retryDelay):
	case <-t.ctx.Done():
	}
}

// cursorAfter returns, as it is stored, the hub's position that a change must not overtake.
// Whoever holds the lock no longer may have saved an edit at another process, which has not
// arrived here yet.
func (t *Table[K]) cursorAfter(ctx context.Context, now, next state) string {
	if t.Hub == nil || now.Holder == nobody || next.Holder == now.Holder {
		return t.cursor()
	}
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	c, err := t.Hub.Mark(ctx)
	if err != nil || c.Seq == 0 {
		return t.cursor() // a lock is released without the hub's log, too
	}
	return c.String()
}

// cursor returns the hub's cursor as it is stored, empty if there is none.
func (t *Table[K]) cursor() string {
	if t.Hub == nil {
		return ""
	}
	c := t.Hub.Cursor()
	if c.Seq == 0 {
		return ""
	}
	return c.String()
}
