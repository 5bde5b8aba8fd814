package presence

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"example.org/sse/backplane"
)

// How trackers share sessions. Each process has a record that is its lease, which the
// store deletes if it is not renewed, and a record for each session that is there, which
// only that process writes. Together these records define who is present, and each
// process watches them. The records of a process without a lease are deleted by the
// others, and only then its sessions end: so all processes agree on what has ended, even
// one that was cut off, once it is back.

const (
	keyPrefix = "presence/" // of all keys

	// retryDelay is how long to wait after a failed request.
	retryDelay = time.Second

	// storeTimeout limits a request that changes or deletes a session's record.
	storeTimeout = 5 * time.Second

	// closeTimeout is how long Close waits for the store, in each of two steps.
	closeTimeout = time.Second
)

// shared is the part of a tracker that needs a Store. Its fields are guarded by the
// tracker's mutex, except those that begin assigns.
type shared struct {
	begin   sync.Once
	node    string // the process's id
	ctx     context.Context
	cancel  context.CancelFunc
	renew   chan struct{}  // receives when the lease may be lost
	running sync.WaitGroup // the tracker's own goroutines

	rev    uint64    // of the lease; used by keepLease, and then by Close
	leased bool      // the store has the lease, as far as this process knows
	until  time.Time // until when other processes do not act without the lease

	own     map[string]*entry // by key
	dirty   []*entry
	sweeps  []*remote
	writers int           // number of running writers
	idle    chan struct{} // closed when there are none; nil if Close does not wait

	nodes   map[string]*node
	records map[string]*remote // by key
	watches int                // number of calls of Store.Watch
	live    bool               // the newest of them has listed all records
	seen    uint64             // the newest revision that was applied and passed on
	unheard time.Time          // when the lease was renewed, if the watch has not passed that on
	resume  time.Time          // when a lease that was given up is asked for again
	granted uint64             // revision of the lease when the store had it for the first time, or again

	interrupt context.CancelFunc // ends the watch, which begins again
	followers []*attachment

	changed chan struct{} // closed when a record of this process was written or deleted; nil if nobody waits
	asking  []*ask        // with the next lease
	waiting []*ask        // for the answers to a lease
	asked   uint64        // the newest revision that others have asked for
	said    uint64        // what the newest lease says that was seen
}

// start starts to use the Store, at the tracker's first use.
func (t *Tracker) start() {
	if t.Store == nil {
		return
	}
	t.check()
	t.begin.Do(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		id := make([]byte, pageBytes)
		rand.Read(id) // never fails
		t.node = encoding.EncodeToString(id)
		t.ctx, t.cancel = context.WithCancel(context.Background())
		t.renew = make(chan struct{}, 1)
		t.own = make(map[string]*entry)
		t.nodes = make(map[string]*node)
		t.records = make(map[string]*remote)
		if t.closed {
			return
		}
		t.running.Go(t.keepLease)
		t.running.Go(t.watchStore)
	})
}

// check panics if the tracker's fields contradict each other. It is called each time, since
// net/http recovers the panic of a request, and a sync.Once does not run again.
func (t *Tracker) check() {
	if t.Store != nil && len(t.Key) == 0 {
		panic("presence: a Tracker with a Store needs a Key, the same in all processes")
	}
}

// keyOf returns the key of this process's record of a session. It contains a hash of the
// session, since its names can be too long for a key.
func (t *Tracker) keyOf(s Session) string { return t.keyAt(s, t.node) }

// keyAt returns the key of a process's record of a session.
func (t *Tracker) keyAt(s Session, node string) string {
	sum := sha256.Sum256([]byte(s.Page + "\x00" + s.User))
	return keyPrefix + "here/" + encoding.EncodeToString(sum[:pageBytes]) + "/" + node
}

// watchStore applies what other processes write, until the tracker is closed.
func (t *Tracker) watchStore() {
	for t.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(t.ctx)
		t.mu.Lock()
		t.watches++
		t.live = false
		t.interrupt = cancel
		watch := t.watches
		t.mu.Unlock()
		t.passOn(nil, watch, false)
		listed, newest := false, uint64(0)
		err := t.Store.Watch(ctx, keyPrefix, func(batch []backplane.Record, live bool) error {
			for _, rec := range batch {
				if rec.Rev < newest {
					t.forgetRevisions()
					return errWentBack
				}
				newest = rec.Rev
			}
			for part := range slices.Chunk(batch, 256) { // so that other goroutines get the mutex
				t.applyRecords(part)
				t.passOn(part, watch, false)
				t.applied(part)
			}
			if live && !listed {
				listed = true
				t.endListing()
				t.passOn(nil, watch, true)
				t.applied(nil)
			}
			return nil
		})
		interrupted := ctx.Err() != nil
		cancel()
		if t.ctx.Err() == nil && !interrupted {
			slog.Warn("presence: watching the store failed; retrying", "error", err)
			t.sleep(retryDelay)
		}
	}
}

// errWentBack ends a watch: its revisions do not grow.
var errWentBack = errors.New("the store has lost changes")

// forgetRevisions is called when the store has lost its newest changes, as after a failover
// to a server that had not got them. What this process has seen says nothing of revisions
// that are given for the second time: the next watch's listing defines what there is. Until
// then it has no lease, and then it writes its own records again.
func (t *Tracker) forgetRevisions() {
	t.mu.Lock()
	t.seen, t.said, t.asked = 0, 0, 0
	t.loseLeaseLocked()
	t.mu.Unlock()
	t.renewSoon()
}

// sleep waits, until the tracker is closed at most.
func (t *Tracker) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

// Close stops the tracker's own work and waits for it. After Close the tracker reports
// nothing, and its sessions stay as they were; Connect returns [sse.ErrClosed].
//
// At the other processes that share the Store, this process's sessions stay present for
// another Grace, so that pages that reconnect to one of those never count as gone; then
// they end. So call Close after the server's Shutdown. A page that is hidden and has no
// stream gets no more time than that.
//
// Close returns an error if the store does not answer within two seconds: then the
// sessions stay until the Lease has passed. It may be called from any goroutine, but not
// from a function that the tracker calls.
func (t *Tracker) Close() error {
	t.mu.Lock()
	again := t.closed
	t.closed = true
	t.mu.Unlock()
	t.start() // sets the fields, and starts nothing after closed
	t.mu.Lock()
	for _, p := range t.sessions {
		if p.timer != nil {
			p.timer.Stop()
		}
	}
	for _, at := range t.places {
		for _, timer := range at.going {
			timer.Stop()
		}
	}
	for _, n := range t.nodes {
		n.stop()
	}
	for _, w := range t.watched {
		w.stop()
	}
	idle := make(chan struct{})
	if t.idle = idle; t.writers == 0 {
		close(idle)
		t.idle = nil
	}
	t.mu.Unlock()
	if t.Store == nil || again {
		t.running.Wait()
		return nil
	}
	select { // what waits to be written is still written
	case <-idle:
	case <-time.After(closeTimeout):
	}
	t.cancel()
	t.running.Wait()
	return t.handOver()
}
