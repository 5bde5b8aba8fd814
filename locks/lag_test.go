package locks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A lag is how long things take at most.
type lag struct {
	writes, watches time.Duration
	sessions        time.Duration // to write the record of a session
}

// A lagStore is a process's connection to a store: each request takes a random time, before
// it is made and after, and what the store has to say comes late. It can be cut.
type lagStore struct {
	backplane.Store
	lag

	mu     sync.Mutex
	random *rand.Rand
	cut    chan struct{} // closed when it is mended; nil if it is not cut
}

func newLagStore(store backplane.Store, seed uint64, most lag) *lagStore {
	return &lagStore{Store: store, lag: most, random: rand.New(rand.NewPCG(seed, 3))}
}

// wait waits for a random time, and as long as the connection is cut.
func (l *lagStore) wait(ctx context.Context, most time.Duration) error {
	l.mu.Lock()
	d := time.Duration(l.random.Int64N(int64(most) + 1))
	if l.random.IntN(4) > 0 {
		d /= 20
	}
	l.mu.Unlock()
	for {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", backplane.ErrIndeterminate, ctx.Err())
		}
		l.mu.Lock()
		cut := l.cut
		l.mu.Unlock()
		if cut == nil {
			return nil
		}
		select {
		case <-cut:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", backplane.ErrIndeterminate, ctx.Err())
		}
	}
}

func (l *lagStore) Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	before := l.writes
	if strings.Contains(key, "/here/") && value != nil {
		before = max(before, l.sessions)
	}
	if err := l.wait(ctx, before); err != nil {
		return backplane.Record{}, err
	}
	rec, err := l.Store.Swap(ctx, key, old, value, ttl)
	if late := l.wait(ctx, l.writes); late != nil {
		return backplane.Record{}, late
	}
	return rec, err
}

func (l *lagStore) Watch(ctx context.Context, prefix string, fn func([]backplane.Record, bool) error) error {
	return l.Store.Watch(ctx, prefix, func(batch []backplane.Record, live bool) error {
		batch = slices.Clone(batch)
		if err := l.wait(ctx, l.watches); err != nil {
			return ctx.Err()
		}
		return fn(batch, live)
	})
}

// disconnect cuts the connection, and returns what mends it.
func (l *lagStore) disconnect() (mend func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cut := make(chan struct{})
	l.cut = cut
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cut = nil
		close(cut)
	}
}

// A process has a tracker and a table on a store.
type process struct {
	store   *lagStore
	tracker *presence.Tracker
	table   *locks.Table[int]
	dead    atomic.Bool
}

const lease = 10 * time.Second

func newProcess(t *testing.T, store *lagStore, changed func(locks.Change[int])) *process {
	p := &process{store: store}
	p.tracker = &presence.Tracker{Key: []byte("key"), Store: store, Grace: grace, Lease: lease}
	p.table = &locks.Table[int]{Presence: p.tracker, Changed: changed}
	awaitReady(t, p.table)
	return p
}

func (p *process) close() {
	p.table.Close()
	p.tracker.Close()
}
