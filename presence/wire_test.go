package presence_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"example.org/sse/backplane"
)

// A wire is a process's connection to the store, which can be cut: what is on it then
// waits, and a change arrives when the wire is whole again, even if the caller has given
// up.
type wire struct {
	store *backplane.Memory

	mu    sync.Mutex
	whole chan struct{} // closed when the wire is whole again; nil if it is whole
	deaf  bool          // only what the store sends waits
	swaps int

	trouble func(key string) (before, after error) // of each Swap; may take time
	slow    time.Duration                          // how long the answer to a Swap takes
}

func (w *wire) fail(trouble func(key string) (before, after error), slow time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble, w.slow = trouble, slow
}

// deafen makes the process receive nothing, although it can send.
func (w *wire) deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole, w.deaf = make(chan struct{}), true
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = make(chan struct{})
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.whole)
	w.whole, w.deaf = nil, false
}

func (w *wire) wait(ctx context.Context, hears bool) error {
	w.mu.Lock()
	whole := w.whole
	if w.deaf && !hears {
		whole = nil
	}
	w.mu.Unlock()
	if whole == nil {
		return nil
	}
	select {
	case <-whole:
		return nil
	case <-ctx.Done():
		return errors.Join(backplane.ErrIndeterminate, ctx.Err())
	}
}

func (w *wire) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	if err := w.wait(ctx, false); err != nil {
		return backplane.Record{}, err
	}
	w.mu.Lock()
	w.swaps++
	trouble, slow := w.trouble, w.slow
	w.mu.Unlock()
	var before, after error
	if trouble != nil {
		before, after = trouble(key)
	}
	if before != nil {
		return backplane.Record{}, before
	}
	r, err := w.store.Swap(ctx, key, old, value, ttl)
	time.Sleep(slow) // fake
	if after != nil {
		return backplane.Record{}, after
	}
	return r, err
}

func (w *wire) Watch(ctx context.Context, prefix string, fn func([]backplane.Record, bool) error) error {
	return w.store.Watch(ctx, prefix, func(batch []backplane.Record, live bool) error {
		if err := w.wait(ctx, true); err != nil {
			return err
		}
		return fn(batch, live)
	})
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.swaps
}
