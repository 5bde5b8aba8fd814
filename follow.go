package sse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/backplane"
)

const (
	// gapType is the type of the event that tells a client of a gap, if the set has
	// no Snapshot that would make up for it.
	gapType = "gap"

	// dispatchTimeout is how long a dispatch without a context waits for a log.
	dispatchTimeout = 10 * time.Second

	// aheadTimeout is how long a client may wait that has seen an event which has
	// not reached this process yet, and echoTimeout how long a dispatch waits for
	// its event to come back.
	aheadTimeout = 10 * time.Second
	echoTimeout  = time.Second

	followPause = time.Second
)

// A follower keeps a hub's log in memory as a log is that it shares with other
// processes. Nobody is sent anything that has not come from there.
type follower struct {
	hub    *Hub
	source backplane.Log
	log    *log

	ids  string // the beginning of this process's ids
	next atomic.Uint64

	ctx     context.Context // done when the hub is closed
	cancel  context.CancelFunc
	running sync.WaitGroup

	// Guarded by log.mu.
	live  bool          // log has the newest events
	moved chan struct{} // closed when log has more, or has become live; nil if nobody waits
	gaps  [][]*member   // the members, by source, that have missed something
}

// follow starts a follower for the hub. The caller holds h.mu, and so the follower
// waits for it before it makes the first set.
func (h *Hub) follow() {
	f := &follower{hub: h, source: h.Log, log: h.log, ids: rand.Text() + "/"}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.log.shared = f
	f.log.cursors = make(map[backplane.Cursor]uint64)
	f.running.Go(f.run)
}

// run follows the log until the hub is closed.
func (f *follower) run() {
	after := backplane.Oldest
	for {
		err := f.source.Follow(f.ctx, after, f.take)
		switch {
		case f.ctx.Err() != nil:
			return
		case errors.Is(err, backplane.ErrGap):
			slog.Warn("sse: events of the log are missing; clients begin anew")
			f.gap()
		default:
			slog.Warn("sse: the log is followed again", "error", err)
		}
		f.log.mu.Lock()
		after = f.log.at
		f.log.mu.Unlock()
		select {
		case <-time.After(followPause):
		case <-f.ctx.Done():
			return
		}
	}
}

// take adds a batch to the log in memory, and has it delivered.
func (f *follower) take(batch []backplane.Entry, live bool) error {
	l := f.log
	type arrival struct {
		set   *Set
		buf   []byte
		about about
	}
	arrivals := make([]arrival, len(batch))
	for i, entry := range batch {
		a := &arrivals[i]
		a.about.cursor = entry.Cursor
		name, e, err := unseal(entry.Data)
		if err != nil {
			continue // a later version: it counts all the same
		}
		a.set = f.hub.Set(name)
		a.buf, _ = e.encode(idRoom) // it was checked
		a.about.id, a.about.key = e.ID, a.set.key(e)
	}
	l.mu.Lock()
	for _, a := range arrivals {
		if a.set != nil {
			l.append(a.set, a.buf, a.about)
		} else {
			l.pass(a.about)
		}
	}
	f.live = f.live || live
	var calm <-chan struct{}
	if f.live {
		for _, a := range arrivals {
			if a.set != nil && a.set.open > 0 {
				a.set.startDelivery()
				if calm == nil {
					calm = a.set.tooFast()
				}
			}
		}
		f.resume()
	}
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
	l.mu.Unlock()
	wait(calm)
	return nil
}

// pass counts an entry that is nobody's. The caller holds l.mu.
func (l *log) pass(about about) {
	l.head, l.at = stamps.Add(1), about.cursor
	l.remember(nil, &entry{stamp: l.head, about: about})
}

// change returns a channel that is closed at the next change. The caller holds
// log.mu.
func (f *follower) change() <-chan struct{} {
	if f.moved == nil {
		f.moved = make(chan struct{})
	}
	return f.moved
}

// lockFor locks l.mu once the log is such that the source can join: live, and as
// new as what the client has seen elsewhere. It reports false, and has not locked
// anything, if the stream ends before, or the hub is closed.
func (l *log) lockFor(source *EventSource, seen backplane.Cursor) bool {
	l.mu.Lock()
	f := l.shared
	if f == nil {
		return true
	}
	var late <-chan time.Time
	for {
		if f.live && seen.Seq <= l.at.Seq {
			return true
		}
		if f.live && late == nil {
			timer := time.NewTimer(aheadTimeout)
			defer timer.Stop()
			late = timer.C
		}
		changed := f.change()
		l.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			seen.Seq = 0
		case <-source.Done():
			return false
		case <-f.ctx.Done():
			return false
		}
		l.mu.Lock()
	}
}

// wait waits until a condition on the log in memory holds; it is asked under
// log.mu.
func (f *follower) wait(ctx context.Context, condition func() bool) error {
	for {
		f.log.mu.Lock()
		if condition() {
			f.log.mu.Unlock()
			return nil
		}
		changed := f.change()
		f.log.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.ctx.Done():
			return ErrClosed
		}
	}
}

// dispatch appends an event to the shared log.
func (f *follower) dispatch(ctx context.Context, once, name string, e Event) error {
	data, err := seal(name, e)
	if err != nil {
		return err
	}
	if f.ctx.Err() != nil {
		return ErrClosed
	}
	id := "0/" + f.ids + strconv.FormatUint(f.next.Add(1), 36)
	if once != "" {
		id = "1/" + once
	}
	c, err := f.source.Append(ctx, id, data)
	if err != nil {
		return fmt.Errorf("sse: dispatch: %w", err)
	}
	// It comes back at once, or it takes time, and is on its way all the same. What
	// one goroutine sends to a set, and then to a source of it, arrives in this order.
	ctx, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	_ = f.wait(ctx, func() bool { return f.log.at.Seq >= c.Seq })
	return nil
}
