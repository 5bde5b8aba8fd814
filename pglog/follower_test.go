package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/pglog"
)

var errEnough = errors.New("enough")

// follow returns the data of n entries after the cursor.
func follow(t testing.TB, l *pglog.Log, after backplane.Cursor, n int) (texts []string, err error) {
	t.Helper()
	err = l.Follow(within(t, patience), after, func(batch []backplane.Entry, live bool) error {
		for _, e := range batch {
			texts = append(texts, string(e.Data))
		}
		if len(texts) >= n {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return texts, err
}

// A follower follows in the background and records what it gets.
type follower struct {
	t    testing.TB
	stop context.CancelFunc

	mu      sync.Mutex
	changed chan struct{}
	texts   []string
	live    bool
	err     error
	ended   bool
}

// background starts to follow and returns once it is live.
func background(t testing.TB, l *pglog.Log, after backplane.Cursor) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{t: t, stop: cancel, changed: make(chan struct{})}
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		err := l.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
			f.change(func() {
				f.live = f.live || live
				for _, e := range batch {
					f.texts = append(f.texts, string(e.Data))
				}
			})
			return nil
		})
		f.change(func() { f.ended, f.err = true, err })
	}()
	f.await("it is live", func() bool { return f.live })
	return f
}

func (f *follower) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
	close(f.changed)
	f.changed = make(chan struct{})
}

// await waits until ok returns true.
func (f *follower) await(what string, ok func() bool) {
	f.t.Helper()
	late := time.After(patience)
	for {
		f.mu.Lock()
		is, changed := ok(), f.changed
		f.mu.Unlock()
		if is {
			return
		}
		select {
		case <-changed:
		case <-late:
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("not seen: %s; got %d entries, error %v", what, len(f.texts), f.err)
		}
	}
}

// has waits until the follower has exactly these entries.
func (f *follower) has(texts ...string) {
	f.t.Helper()
	f.await(fmt.Sprint("it has ", len(texts)), func() bool { return f.ended || len(f.texts) >= len(texts) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.texts, texts) || f.ended {
		f.t.Fatalf("got %d entries, %.100q…, error %v; want %d", len(f.texts), f.texts, f.err, len(texts))
	}
}

// hasGap waits until the follower ends with ErrGap. What it got must be the beginning of
// texts.
func (f *follower) hasGap(texts ...string) {
	f.t.Helper()
	f.await("it has ended", func() bool { return f.ended })
	if !errors.Is(f.err, backplane.ErrGap) {
		f.t.Fatalf("got error %v, want ErrGap", f.err)
	}
	if len(f.texts) > len(texts) || !slices.Equal(f.texts, texts[:len(f.texts)]) {
		f.t.Fatalf("got %d entries, %.100q…; want the beginning of %.100q…", len(f.texts), f.texts, texts)
	}
}
