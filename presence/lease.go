package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.org/sse/backplane"
)

// Leased reports whether other processes still take this one's sessions for
// present. What depends on a session, such as a lock, must not be relied on without
// it: others may have given it away. It is counted by this process's own clock, from
// before the store was asked for the last time, and over a tenth of the Lease before
// the store's time is: so it is false before anybody else acts on it. It is false
// until the store has answered first, and after Close. Without a Store it is true.
//
// A clock that stands still while a machine is suspended does not see this: what must
// not happen twice needs a fence.
func (t *Tracker) Leased() bool {
	if t.Store == nil {
		return true
	}
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sure()
}

// sure is Leased under the lock.
func (t *Tracker) sure() bool { return time.Now().Before(t.until) }

func (t *Tracker) lease() time.Duration {
	if t.Lease <= 0 {
		return defaultLease
	}
	return t.Lease
}

// keep keeps the process's lease, until the tracker is closed.
func (t *Tracker) keep() {
	for t.ctx.Err() == nil {
		timer := time.NewTimer(t.renewLease())
		select {
		case <-timer.C:
		case <-t.renew:
		case <-t.ctx.Done():
		}
		timer.Stop()
	}
}

func (t *Tracker) leaseKey() string { return t.prefix + "node/" + t.node }

// renewLease asks the store once, and returns how long to wait until the next time.
func (t *Tracker) renewLease() time.Duration {
	begin := time.Now()
	lease := t.lease()
	ctx, cancel := context.WithTimeout(t.ctx, lease/6)
	rec, err := t.Store.Swap(ctx, t.leaseKey(), t.rev, []byte("{}"), lease)
	cancel()
	switch {
	case err == nil:
		t.rev = rec.Rev
		t.mu.Lock()
		t.until = begin.Add(lease / 10 * 9)
		if !t.leased {
			t.leaseMade()
		}
		t.mu.Unlock()
		return max(lease/3-time.Since(begin), 0)
	case errors.Is(err, backplane.ErrConflict):
		if rec.Rev == 0 {
			slog.Warn("presence: the process was cut off for longer than its lease", "tracker", t.Name)
			t.mu.Lock()
			t.leased = false
			t.until = time.Time{}
			t.mu.Unlock()
		}
		// Or else it is ours, of a request whose outcome was not known.
		if rec.Rev != t.rev {
			t.rev = rec.Rev
			return 0
		}
	}
	return min(lease/10, pause)
}

// leaseMade is that the store has the lease, for the first time or again. Others may
// have deleted records of sessions meanwhile, and each is looked after. And we may have
// missed goodbyes, whose records have gone since: but for a new number, others would
// take what they have ended for ended, and we not.
func (t *Tracker) leaseMade() {
	t.leased = true
	for _, p := range t.sessions {
		if p.life != 0 {
			t.counter++
			p.life = t.counter
		}
	}
	for _, e := range t.own {
		t.writeEntry(e)
	}
	t.writeMore(len(t.dirty))
}

// handOver leaves the lease to the store for the last time.
func (t *Tracker) handOver() error {
	t.mu.Lock()
	t.until = time.Time{}
	t.mu.Unlock()
	if t.rev == 0 {
		return nil // nobody was told of anything
	}
	grace := orDefault(t.Grace, defaultGrace)
	value := []byte("{}")
	if grace == 0 {
		value = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	for {
		rec, err := t.Store.Swap(ctx, t.leaseKey(), t.rev, value, grace)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, backplane.ErrConflict) && rec.Rev == 0:
			return nil // it is over
		case errors.Is(err, backplane.ErrConflict) && rec.Rev != t.rev:
			t.rev = rec.Rev // of a request that was cut short
			continue
		}
		return fmt.Errorf("presence: close: the others will know when the lease is over: %w", err)
	}
}
