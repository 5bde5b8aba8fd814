package logtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"example.org/sse/backplane"
)

// A watcher watches a store, and checks what every watcher must get.
type watcher struct {
	t      *testing.T
	cancel context.CancelFunc

	changes

	seen  []backplane.Record
	times []time.Time
	live  bool
	ended bool
	err   error
}

// watch watches a store until the test ends. If gate is not nil, each batch waits until it
// is closed.
func watch(t *testing.T, s backplane.Store, prefix string, gate chan struct{}) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &watcher{t: t, cancel: cancel}
	w.changed = make(chan struct{})
	go func() {
		err := s.Watch(ctx, prefix, func(batch []backplane.Record, live bool) error {
			if gate != nil {
				<-gate
			}
			w.batch(prefix, batch, live)
			return nil
		})
		w.change(func() { w.ended, w.err = true, err })
	}()
	t.Cleanup(func() {
		cancel()
		expect(t, &w.changes, "the end of Watch", func() bool { return w.ended })
	})
	return w
}

func (w *watcher) batch(prefix string, batch []backplane.Record, live bool) {
	now := time.Now()
	w.change(func() {
		for _, r := range batch {
			if n := len(w.seen); n > 0 && r.Rev < w.seen[n-1].Rev {
				w.t.Errorf("got revision %d of %q after %d of %q", r.Rev, r.Key, w.seen[n-1].Rev, w.seen[n-1].Key)
			}
			if !strings.HasPrefix(r.Key, prefix) {
				w.t.Errorf("got key %q, want one that begins with %q", r.Key, prefix)
			}
			w.seen, w.times = append(w.seen, r), append(w.times, now)
		}
		w.live = w.live || live
	})
}

// untilLive waits for the first live batch, and returns all records so far.
func (w *watcher) untilLive() []backplane.Record {
	w.t.Helper()
	expect(w.t, &w.changes, "a live batch", func() bool {
		if !w.live && w.ended {
			w.t.Fatalf("Watch ended: %v", w.err)
		}
		return w.live
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.seen)
}

// newestLocked returns the newest record of a key, and when the watcher got it.
func (w *watcher) newestLocked(key string) (backplane.Record, time.Time) {
	for i, r := range slices.Backward(w.seen) {
		if r.Key == key {
			return r, w.times[i]
		}
	}
	return backplane.Record{Key: key}, time.Time{}
}

// until waits until the newest record of a key has the value, nil for a deleted record, and
// returns that record and when the watcher got it.
func (w *watcher) until(key string, value []byte) (backplane.Record, time.Time) {
	w.t.Helper()
	var r backplane.Record
	var at time.Time
	expect(w.t, &w.changes, "the newest of "+key, func() bool {
		if w.ended {
			w.t.Fatalf("Watch ended: %v", w.err)
		}
		r, at = w.newestLocked(key)
		return !at.IsZero() && string(r.Value) == string(value) && (r.Value == nil) == (value == nil)
	})
	return r, at
}

// swap calls Swap, which must succeed.
func swap(t *testing.T, s backplane.Store, key string, old uint64, value []byte, ttl time.Duration) backplane.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.Swap(ctx, key, old, value, ttl)
	if err != nil {
		t.Fatalf("swap %q, old %d: got %v and record %+v, want no error", key, old, err, r)
	}
	if r.Key != key || string(r.Value) != string(value) || (r.Value == nil) != (value == nil) {
		t.Fatalf("swap %q: got %+v", key, r)
	}
	return r
}

// conflict calls Swap, which must fail with ErrConflict, and returns the record as it is.
func conflict(t *testing.T, s backplane.Store, key string, old uint64) backplane.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.Swap(ctx, key, old, []byte("conflict"), 0)
	if !errors.Is(err, backplane.ErrConflict) {
		t.Fatalf("swap %q, old %d: got %v, want ErrConflict", key, old, err)
	}
	if r.Key != key || (r.Rev == 0) != (r.Value == nil) {
		t.Fatalf("swap %q: got %+v with ErrConflict", key, r)
	}
	return r
}

// noRevision is a revision that no record has.
const noRevision = 1 << 52
