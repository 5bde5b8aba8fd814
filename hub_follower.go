package sse

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

const (
	// dispatchTimeout is how long a dispatch without a context waits for a log.
	dispatchTimeout = 10 * time.Second

	// aheadTimeout is how long a client may wait that has seen an event which has
	// not arrived in this process yet.
	aheadTimeout = 10 * time.Second

	// retryPause is the time between two attempts to follow a log.
	retryPause = time.Second

	// lostLimit is how long following a log may fail before the hub is not ready.
	lostLimit = 10 * time.Second
)

// errOutbox is about the arguments of Set.DispatchIn.
var errOutbox = errors.New("sse: the outbox is of another log than that of the set's hub")

// A follower copies the events of a hub's Log, which processes share, into the hub's
// log in memory. Members are sent nothing that has not come from there.
type follower struct {
	hub    *Hub
	source backplane.Log
	log    *eventlog.Log

	ids    string // the beginning of this process's ids
	next   atomic.Uint64
	behind bool         // it is not followed, or not live; of the goroutine that follows
	lost   atomic.Int64 // since when following fails, in Unix nanoseconds; 0: it does not

	ending sync.Mutex // held while an entry of the log ends members

	ctx     context.Context // done when the hub is closed
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// follow starts a follower for the hub. The caller holds hub.mu, and so the follower
// waits for it before it makes the first set.
func follow(h *Hub) *follower {
	f := &follower{hub: h, source: h.Log, log: h.log, ids: rand.Text() + "/"}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.running.Go(f.run)
	return f
}

// run follows the log until the hub is closed.
func (f *follower) run() {
	logs.followed.Add(1)
	f.setBehind(true)
	defer func() {
		f.setBehind(false)
		logs.followed.Add(-1)
	}()
	after := backplane.Oldest
	for {
		logs.follows.Add(1)
		err := f.source.Follow(f.ctx, after, f.receive)
		f.setBehind(true)
		switch {
		case f.ctx.Err() != nil:
			return
		case errors.Is(err, backplane.ErrGap):
			logs.gaps.Add(1)
			slog.Warn("sse: gap in log; resending snapshots")
			f.gap()
		default:
			logs.errors.Add(1)
			slog.Warn("sse: following the log failed; retrying", "error", err)
			f.lost.CompareAndSwap(0, time.Now().UnixNano())
			if errors.Is(err, backplane.ErrClosed) {
				f.lost.Store(1) // for good
			}
		}
		after = f.log.Cursor()
		select {
		case <-time.After(retryPause):
		case <-f.ctx.Done():
			return
		}
	}
}

// setBehind counts logs that are not up to date.
func (f *follower) setBehind(behind bool) {
	switch {
	case behind && !f.behind:
		logs.behind.Add(1)
	case !behind && f.behind:
		logs.behind.Add(-1)
	}
	f.behind = behind
}

// receive copies a batch of events and delivers them.
func (f *follower) receive(batch []backplane.Entry, live bool) error {
	f.lost.Store(0)
	sets := make(map[*Set]bool)
	for _, entry := range batch {
		v, set, key := f.open(entry)
		switch {
		case set == nil:
			f.log.Pass(entry.Cursor) // it counts all the same
		case v.kind == closeKind:
			f.ending.Lock()
			set.group.CloseAt(entry.Cursor, v.last()...)
			f.ending.Unlock()
		default:
			e := wire.Event(v.Event).Encode(eventlog.Headroom)
			if n, _ := set.topic.Append(eventlog.Event{Encoded: e, Key: key, ID: v.ID, Cursor: entry.Cursor}); n > 0 {
				sets[set] = true
			}
		}
	}
	if live {
		f.log.SetLive(true)
		f.setBehind(false)
	}
	for set := range sets {
		set.group.Deliver()
	}
	for set := range sets {
		if set.group.Pace(0) {
			break
		}
	}
	return nil
}

// open returns what an entry holds, its set, and its event's key. The set is nil if the
// entry is of a later version, or the program's NewSet panics. If its Key panics, the
// event has a key of its own. The set is made if there is none: else it could be, and get
// members, before a close is counted.
func (f *follower) open(entry backplane.Entry) (v envelope, set *Set, key string) {
	v, err := unseal(entry.Data)
	if err != nil {
		return v, nil, ""
	}
	defer func() {
		if p := recover(); p != nil {
			slog.Error("sse: NewSet or Key panicked", "set", v.set, "panic", p)
		}
	}()
	key = "\x00" + entry.Cursor.String()
	set = f.hub.Set(v.set)
	key = set.key(v.Event)
	return v, set, key
}

// gap has every member go on from a snapshot, and forgets the history: no client can
// resume from before the gap. A member is first sent what was dispatched before.
func (f *follower) gap() {
	f.log.SetLive(false) // from now on no source joins
	joins := make(map[*EventSource]*join)
	for _, s := range f.hub.all() {
		for _, m := range s.group.Members() {
			source := m.Stream().Owner.(*EventSource)
			if !s.Has(source) {
				continue
			}
			j := joins[source]
			if j == nil {
				j = &join{source: source, log: f.log}
				joins[source] = j
			}
			j.sets, j.members = append(j.sets, s), append(j.members, m)
		}
	}
	f.log.Forget()
	for source, j := range joins {
		hold := source.stream.Hold() // before the log goes on
		f.running.Go(func() { j.again(f, hold) })
	}
}

// await waits until the log is live, and has the event that the client names as its
// last one, for some time at least. It reports false if the stream ends before, or
// the hub is closed. A nil follower is always ready.
func (f *follower) await(source *EventSource, id string) bool {
	if f == nil {
		return true
	}
	seen, _ := backplane.ParseCursor(id)
	var late <-chan time.Time
	for {
		live, at, changed := f.log.Progress()
		if live && seen.Seq <= at.Seq {
			return true
		}
		if live && late == nil {
			timer := time.NewTimer(aheadTimeout)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-changed:
		case <-late:
			seen.Seq = 0
		case <-source.Done():
			return false
		case <-f.ctx.Done():
			return false
		}
	}
}

// ready waits until the log is live and is being followed.
func (f *follower) ready(ctx context.Context) error {
	for {
		if err := f.wait(ctx, backplane.Cursor{}); err != nil {
			return err
		}
		if !f.isLost() {
			return nil
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return fmt.Errorf("the log is not being followed: %w", context.Cause(ctx))
		case <-f.ctx.Done():
			return ErrClosed
		}
	}
}

// isLost reports whether the log could not be followed for some time.
func (f *follower) isLost() bool {
	if lost := f.lost.Load(); lost != 0 && time.Since(time.Unix(0, lost)) >= lostLimit {
		return true
	}
	m, ok := f.source.(backplane.Monitor)
	return ok && time.Since(m.Heard()) >= lostLimit
}

// wait waits until the log is live and has got to a position.
func (f *follower) wait(ctx context.Context, c backplane.Cursor) error {
	for {
		live, at, changed := f.log.Progress()
		if live && at.Seq >= c.Seq {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.ctx.Done():
			return ErrClosed
		}
	}
}

// dispatch appends an event to the shared log, and waits for it to come back: what
// one goroutine sends to a set, and then to a source of it, arrives in this order.
func (f *follower) dispatch(ctx context.Context, key, name string, e Event) error {
	return f.append(ctx, f.entryID(name, key), envelope{dispatchKind, name, e})
}

// closeAll ends the members of a set in all processes.
func (f *follower) closeAll(ctx context.Context, name string, last Event) error {
	if err := f.append(ctx, f.newID(), envelope{closeKind, name, last}); err != nil {
		return err
	}
	f.ending.Lock() // until those in this process have ended
	defer f.ending.Unlock()
	return nil
}

// append appends an entry to the shared log, and waits for it to come back.
func (f *follower) append(ctx context.Context, id string, v envelope) error {
	data, err := f.seal(v)
	if err != nil {
		return err
	}
	c, err := f.source.Append(ctx, id, data)
	if err != nil {
		logs.errors.Add(1)
		return fmt.Errorf("sse: append to the log: %w", err)
	}
	accepted := time.Now()
	defer func() { logs.lag.Store(int64(time.Since(accepted))) }()
	if err := f.wait(ctx, c); err != nil && f.ctx.Err() == nil { // after Close nothing comes back
		return fmt.Errorf("sse: the log took the entry, which has not come back yet: %w: %w", backplane.ErrIndeterminate, err)
	}
	return nil
}

// mark appends an entry that followers pass over.
func (f *follower) mark(ctx context.Context) (backplane.Cursor, error) {
	if f.ctx.Err() != nil {
		return backplane.Cursor{}, ErrClosed
	}
	c, err := f.source.Append(ctx, f.newID(), []byte{markKind})
	if err != nil {
		logs.errors.Add(1)
		return backplane.Cursor{}, fmt.Errorf("sse: mark: %w", err)
	}
	return c, nil
}

// newID returns the id of an entry that no other has.
func (f *follower) newID() string { return "0/" + f.ids + strconv.FormatUint(f.next.Add(1), 36) }

// put adds an event to the shared log in a transaction, and so cannot wait for it.
func (f *follower) put(ctx context.Context, o backplane.Outbox, key, name string, e Event) error {
	if o.Log() != f.source {
		return errOutbox
	}
	data, err := f.seal(envelope{dispatchKind, name, e})
	if err != nil {
		return err
	}
	if err := o.Put(ctx, f.entryID(name, key), data); err != nil {
		return fmt.Errorf("sse: dispatch: %w", err)
	}
	return nil
}

// seal returns an envelope as it is appended to the log, unless the hub is closed.
func (f *follower) seal(v envelope) ([]byte, error) {
	data, err := v.seal()
	if err == nil && f.ctx.Err() != nil {
		err = ErrClosed
	}
	return data, err
}

// entryID returns the id of an event's entry in the shared log. The idempotency key may be
// empty.
func (f *follower) entryID(name, key string) string {
	if key == "" {
		return f.newID()
	}
	return onceID(name, key)
}

// onceID returns the id of the entry that an idempotency key stands for. The key belongs to
// its set, and both can be longer than an id.
func onceID(name, key string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s%s", len(name), name, key))
	return "1/" + base64.RawURLEncoding.EncodeToString(sum[:])
}
