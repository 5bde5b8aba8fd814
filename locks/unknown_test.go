package locks_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A muteStore makes changes, and its answers get lost while it is mute.
type muteStore struct {
	backplane.Store

	mute atomic.Bool
}

func (s *muteStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	rec, err := s.Store.Swap(ctx, key, old, value, ttl)
	if s.mute.Load() {
		<-ctx.Done()
		return backplane.Record{}, fmt.Errorf("%w: %w", backplane.ErrIndeterminate, ctx.Err())
	}
	return rec, err
}

// A Take whose answer was lost has the lock: Take again returns it, Release frees it, and
// otherwise it is free when the session ends, or after MaxHold.
func TestTakeOfUnknownOutcome(t *testing.T) {
	for _, tt := range []struct {
		name string
		free func(s *site, table *locks.Table[int], p *page) error // what frees it
		in   time.Duration                                         // how soon
	}{
		{"release", func(s *site, table *locks.Table[int], p *page) error {
			_, err := table.Release(s.t.Context(), p.Session, 7)
			return err
		}, 0},
		{"goodbye", func(s *site, _ *locks.Table[int], p *page) error { s.tracker.Leave(p.Session); return nil }, time.Second},
		{"silence", func(_ *site, _ *locks.Table[int], p *page) error { p.stream.Close(); return nil }, grace + 2*time.Second},
		{"MaxHold", func(*site, *locks.Table[int], *page) error { return nil }, time.Minute + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := &muteStore{Store: new(backplane.Memory)}
			bubbleOn(t, store, func(t *testing.T, s *site, _ *locks.Table[int]) {
				table := &locks.Table[int]{Presence: s.tracker, MaxHold: time.Minute}
				defer table.Close()
				ann := s.open("ann")
				awaitReady(t, table)
				fence := takeMute(t, store, table, ann.Session)
				time.Sleep(time.Second) // fake; before the next lease
				l, err := table.Take(t.Context(), ann.Session, 7)
				if err != nil || l.Fence != fence {
					t.Errorf("Take again: got fence %d, error %v, want %d", l.Fence, err, fence)
				}
				if err := tt.free(s, table, ann); err != nil {
					t.Error(err)
				}
				time.Sleep(tt.in) // fake
				if l, held := table.Load(7); held {
					t.Errorf("got holder %v after %v, want none", l.Holder, tt.in)
				}
			})
		})
	}
}

// takeMute takes a lock while the store is mute, and returns the fence that is reported.
func takeMute(t *testing.T, store *muteStore, table *locks.Table[int], by presence.Session) uint64 {
	t.Helper()
	store.mute.Store(true)
	defer store.mute.Store(false)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := table.Take(ctx, by, 7); !errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Take: got error %v, want %v", err, backplane.ErrIndeterminate)
	}
	l, _ := table.Load(7)
	if l.Holder != by {
		t.Errorf("got holder %v reported, want %v", l.Holder, by)
	}
	return l.Fence
}
