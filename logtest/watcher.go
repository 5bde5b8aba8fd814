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

// watch watches a store until the test's end. If gate is not nil, each batch
// waits for it to be closed.
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
				w.t.Errorf("revision %d of %q comes after %d of %q", r.Rev, r.Key, w.seen[n-1].Rev, w.seen[n-1].Key)
			}
			if !strings.HasPrefix(r.Key, prefix) {
				w.t.Errorf("%q does not begin with %q", r.Key, prefix)
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

// newest returns the newest that is known of a key, and when it came to be
// known. The caller holds w.mu.
func (w *watcher) newest(key string) (backplane.Record, time.Time) {
	for i, r := range slices.Backward(w.seen) {
		if r.Key == key {
			return r, w.times[i]
		}
	}
	return backplane.Record{Key: key}, time.Time{}
}

// until waits until the newest that is known of a key has that value, nil for a
// key that is not there any more, and returns when that came to be known.
func (w *watcher) until(key string, value []byte) (backplane.Record, time.Time) {
	w.t.Helper()
	var r backplane.Record
	var at time.Time
	expect(w.t, &w.changes, "the newest of "+key, func() bool {
		if w.ended {
			w.t.Fatalf("Watch ended: %v", w.err)
		}
		r, at = w.newest(key)
		return !at.IsZero() && string(r.Value) == string(value) && (r.Value == nil) == (value == nil)
	})
	return r, at
}

// swap is Swap, which must succeed.
func swap(t *testing.T, s backplane.Store, key string, old uint64, value []byte, ttl time.Duration) backplane.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.Swap(ctx, key, old, value, ttl)
	if err != nil {
		t.Fatalf("swap %q, old %d: %v, present %+v", key, old, err, r)
	}
	if r.Key != key || string(r.Value) != string(value) || (r.Value == nil) != (value == nil) {
		t.Fatalf("swap %q returned %+v", key, r)
	}
	return r
}

// conflict is Swap, which must fail; it returns the record as it is.
func conflict(t *testing.T, s backplane.Store, key string, old uint64) backplane.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.Swap(ctx, key, old, []byte("conflict"), 0)
	if !errors.Is(err, backplane.ErrConflict) {
		t.Fatalf("swap %q, old %d: %v, want ErrConflict", key, old, err)
	}
	if r.Key != key || (r.Rev == 0) != (r.Value == nil) {
		t.Fatalf("swap %q: ErrConflict comes with %+v", key, r)
	}
	return r
}

// noRevision is one that no record has.
const noRevision = 1 << 52
