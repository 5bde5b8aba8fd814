package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"example.org/sse/backplane"
)

// hasLease reports whether other processes still regard this process's sessions as
// present, see [sessions.Access].
func (t *Tracker) hasLease() bool {
	if t.Store == nil {
		return true
	}
	t.start()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leasedLocked()
}

// leasedLocked is like hasLease, without the start.
//
// A process that was cut off and is back has not heard yet what others did meanwhile, until
// its watch has passed its own new lease.
func (t *Tracker) leasedLocked() bool { return time.Now().Before(t.until) && t.seen >= t.granted }

func (t *Tracker) lease() time.Duration {
	if t.Lease <= 0 {
		return defaultLease
	}
	return t.Lease
}

// keepLease renews the process's lease until the tracker is closed.
func (t *Tracker) keepLease() {
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

func (t *Tracker) leaseKey() string { return keyPrefix + "node/" + t.node }

// deafLeases is after how many leases a process gives its own up, if it has renewed that
// and its watch has not passed it on. Others would wait for its answers for ever.
const deafLeases = 6

// renewLease asks the store once, and returns how long to wait before the next time.
func (t *Tracker) renewLease() time.Duration {
	begin := time.Now()
	lease := t.lease()
	t.mu.Lock()
	if t.leased && !t.unheard.IsZero() && begin.Sub(t.unheard) > deafLeases*lease {
		slog.Error("presence: the watch of the store is stuck; lease given up", "since", t.unheard)
		t.loseLeaseLocked()
		t.resume = begin.Add(2 * lease) // the store and the others have noticed by then
	}
	if wait := t.resume.Sub(begin); wait > 0 {
		t.mu.Unlock()
		return wait
	}
	says := t.leaseLocked()
	asking := len(t.asking)
	t.mu.Unlock()
	value, err := json.Marshal(says)
	if err != nil {
		panic(err) // plain data
	}
	ctx, cancel := context.WithTimeout(t.ctx, lease/6)
	rec, err := t.Store.Swap(ctx, t.leaseKey(), t.rev, value, lease)
	cancel()
	switch {
	case err == nil:
		t.rev = rec.Rev
		t.mu.Lock()
		t.until = begin.Add(lease / 10 * 9)
		if !t.leased {
			t.granted = rec.Rev
			t.leaseGrantedLocked()
		}
		if t.unheard.IsZero() {
			t.unheard = begin
		}
		t.said = says.Seen
		for _, a := range t.asking[:asking] {
			a.rev = rec.Rev
		}
		t.waiting = append(t.waiting, t.asking[:asking]...)
		t.asking = slices.Clone(t.asking[asking:])
		t.answerLocked()
		t.answeredLocked()
		t.mu.Unlock()
		return max(lease/3-time.Since(begin), 0)
	case errors.Is(err, backplane.ErrConflict):
		if rec.Rev == 0 {
			slog.Warn("presence: lease expired")
			t.mu.Lock()
			t.loseLeaseLocked()
			t.mu.Unlock()
		}
		// Otherwise the lease was written by a request of ours that got no answer.
		if rec.Rev != t.rev {
			t.rev = rec.Rev
			return 0
		}
	}
	return min(lease/10, retryDelay)
}

func (t *Tracker) loseLeaseLocked() {
	t.leased = false
	t.until = time.Time{}
}

// leaseGrantedLocked handles a lease that the store has for the first time or again. In
// the meantime others may have deleted records of sessions, so all are written again.
// This process may also have missed goodbyes whose records are gone by now: without new
// numbers, the sessions that they ended would count as ended at other processes and not
// at this one.
func (t *Tracker) leaseGrantedLocked() {
	t.leased = true
	for _, p := range t.sessions {
		if p.life != 0 {
			t.counter++
			p.life = t.counter
		}
	}
	for _, e := range t.own {
		t.writeEntryLocked(e)
	}
	t.startWritersLocked(len(t.dirty))
}

// handOver writes the lease for the last time, to last for the Grace.
func (t *Tracker) handOver() error {
	t.mu.Lock()
	t.until = time.Time{}
	t.mu.Unlock()
	if t.rev == 0 {
		return nil // nothing was ever written
	}
	grace := orDefault(t.Grace, defaultGrace)
	value, err := json.Marshal(leaseRecord{Closed: true})
	if err != nil {
		panic(err) // plain data
	}
	if grace == 0 {
		value = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for {
		rec, err := t.Store.Swap(ctx, t.leaseKey(), t.rev, value, grace)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, backplane.ErrConflict) && rec.Rev == 0:
			return nil // it has expired
		case errors.Is(err, backplane.ErrConflict) && rec.Rev != t.rev:
			t.rev = rec.Rev // written by a request that was interrupted
			continue
		}
		return fmt.Errorf("presence: close: lease not handed over; it expires by itself: %w", err)
	}
}
