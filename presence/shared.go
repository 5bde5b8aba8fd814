package presence

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"example.org/sse/backplane"
)

// How trackers share what they know. Each process has a record that says that it
// lives, which the store deletes if it is not renewed, and one for each session that
// is there, which the process alone writes. Who is present is what all these records
// say, and each process knows by watching them. Those of a process that does not live
// are deleted by the others, and only with that their sessions end: so all agree on
// what has ended, a process that was cut off as well, when it is back.

const (
	// pause is how long to wait after a request that failed.
	pause = time.Second

	// patience is how long a request may take, of those that wait for nothing else.
	patience = 5 * time.Second

	// closing is how long Close waits for the store, for each of two steps.
	closing = time.Second
)

// shared is what a tracker with a Store has. Its fields, but for those that begin
// assigns, are guarded by the tracker's mutex.
type shared struct {
	begin   sync.Once
	node    string // the process's id
	prefix  string // of all keys
	ctx     context.Context
	cancel  context.CancelFunc
	renew   chan struct{}  // the lease is to be looked after
	running sync.WaitGroup // what the tracker does by itself

	rev    uint64    // the lease's; keep's, and then Close's
	leased bool      // the store has the lease, as far as is known
	until  time.Time // how long we may take it for granted

	own     map[string]*entry // by key
	dirty   []*entry
	sweeps  []*remote
	writers int           // that run
	idle    chan struct{} // closed when there is none; nil if nobody waits

	nodes   map[string]*node
	records map[string]*remote // by key
	watch   int                // which one it is
	live    bool               // it has told of all there is
}

// start begins to share, at first use.
func (t *Tracker) start() {
	if t.Store == nil {
		return
	}
	t.begin.Do(func() {
		if len(t.Name) > MaxName {
			panic(fmt.Sprintf("presence: the Name of a Tracker has %d bytes, of %d at most", len(t.Name), MaxName))
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		id := make([]byte, pageBytes)
		rand.Read(id) // never fails
		t.node = encoding.EncodeToString(id)
		t.prefix = "presence/" + t.Name + "/"
		t.ctx, t.cancel = context.WithCancel(context.Background())
		t.renew = make(chan struct{}, 1)
		t.own = make(map[string]*entry)
		t.nodes = make(map[string]*node)
		t.records = make(map[string]*remote)
		if t.closed {
			return
		}
		t.running.Go(t.keep)
		t.running.Go(t.follow)
	})
}

// keyOf returns the key of a session's record, of this process. It has a hash of the
// session, since names can be of any length, and have any bytes.
func (t *Tracker) keyOf(s Session) string {
	sum := sha256.Sum256([]byte(s.Page + "\x00" + s.User))
	return t.prefix + "here/" + encoding.EncodeToString(sum[:pageBytes]) + "/" + t.node
}

// follow hears what other processes say, until the tracker is closed.
func (t *Tracker) follow() {
	for t.ctx.Err() == nil {
		t.mu.Lock()
		t.watch++
		t.live = false
		t.mu.Unlock()
		err := t.Store.Watch(t.ctx, t.prefix, func(batch []backplane.Record, live bool) error {
			for part := range slices.Chunk(batch, 256) { // so that others get at the lock
				t.learn(part)
			}
			if live {
				t.learnAll()
			}
			return nil
		})
		if t.ctx.Err() == nil {
			slog.Warn("presence: the store is asked again", "tracker", t.Name, "error", err)
			t.rest(pause)
		}
	}
}

// rest waits, unless the tracker is closed.
func (t *Tracker) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

// Close ends what the tracker does by itself, and waits for it. From then on it
// tells nothing more, and nothing changes: who is present stays as it was, and
// Connect returns [ErrClosed].
//
// Sessions that are here stay present at the processes that share the Store for
// another Grace, so that their pages, which come back to one of those, are never
// gone in between; then they end. So it is to be called after the server's
// Shutdown. A page that is hidden, and has no stream, is not waited for any longer.
//
// The error says that the store did not answer, within two seconds: then the
// sessions stay until the Lease is over. Close may be called from any goroutine but
// that of a function which the tracker calls.
func (t *Tracker) Close() error {
	t.mu.Lock()
	again := t.closed
	t.closed = true
	t.mu.Unlock()
	t.start() // or rather not, if it has not begun
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
	select { // what is going to be told is still told
	case <-idle:
	case <-time.After(closing):
	}
	t.cancel()
	t.running.Wait()
	return t.handOver()
}
