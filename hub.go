package sse

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
	"weak"

	"example.org/sse/backplane"
	"example.org/sse/internal/eventlog"
)

// A Hub is any number of sets by name, for rooms, topics or users, on one log:
// events of different sets have one order, and a source in several of them one
// place to resume from. The zero value is ready to use; the exported fields may
// be set before first use and not after. Its methods may be called from any
// goroutine.
type Hub struct {
	// History, HistoryBytes and HistoryAge bound what all sets together keep
	// for clients that reconnect; see [Set]. The sets' own bounds are not used.
	History      int
	HistoryBytes int
	HistoryAge   time.Duration

	// Log, if not nil, joins the hub to the hubs of other processes on the same log:
	// sets of one name are one set. An event that is dispatched goes to the log
	// first, and from there to the members in all processes, in one order, as does a
	// [Set.CloseAll]; a client that reconnects to another process resumes there.
	// Packages natslog and redislog have logs on brokers, and package pglog in a database.
	//
	// The hub follows the log in a goroutine, from the first use of a method until
	// Close. Adding a source blocks until the hub has the log's history, see
	// WaitReady, and for up to 10 s if the client has seen an event that has not yet
	// arrived here. If the log has lost events, or this process has fallen behind it
	// by more than is kept, every member gets its set's Snapshot or, if there is
	// none, an event of type "gap" without data.
	Log backplane.Log

	// NewSet, if not nil, sets the fields of a set when it is made. It must not
	// call the hub.
	NewSet func(name string, s *Set)

	mu       sync.Mutex
	log      *eventlog.Log
	follower *follower // nil without a Log
	sets     map[string]weak.Pointer[Set]
}

// Set returns the set of that name. It is made at first use, and is garbage when
// nothing needs it any longer: it has had no members for a while, has no history,
// and the program does not hold it.
func (h *Hub) Set(name string) *Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sets[name].Value(); s != nil {
		return s
	}
	h.initLocked()
	s := new(Set)
	if h.NewSet != nil {
		h.NewSet(name, s)
	}
	s.log, s.name, s.hub = h.log, name, h.follower
	s.init()
	h.sets[name] = weak.Make(s)
	runtime.AddCleanup(s, h.forget, name)
	return s
}

// initLocked makes the hub's log at first use.
func (h *Hub) initLocked() {
	if h.log != nil {
		return
	}
	h.sets = make(map[string]weak.Pointer[Set])
	h.log = eventlog.New(eventlog.Options{
		Events: h.History, Bytes: h.HistoryBytes, Age: h.HistoryAge,
		Many: true, Shared: h.Log != nil,
	})
	if h.Log != nil {
		h.follower = follow(h)
	}
}

// start is initLocked for callers without the lock.
func (h *Hub) start() (*eventlog.Log, *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.initLocked()
	return h.log, h.follower
}

// WaitReady waits until the hub has the history of its Log, so that a client which
// has been served elsewhere can resume here. A new process should not be sent
// requests before, and a process that has missed events not until it has caught up. A
// hub is not ready either once the Log has been closed, or could not be followed for 10 s,
// for example because its broker is away: see [backplane.Monitor].
// It returns the context's error if that is done first, and [ErrClosed] after
// Close. A hub without a Log is always ready.
func (h *Hub) WaitReady(ctx context.Context) error {
	_, f := h.start()
	if f == nil {
		return nil
	}
	if err := f.ready(ctx); err != nil {
		return fmt.Errorf("sse: hub not ready: %w", err)
	}
	return nil
}

// Cursor returns the position in the Log up to which the hub has delivered every
// event. It is the zero Cursor for a hub without a Log.
func (h *Hub) Cursor() backplane.Cursor {
	l, _ := h.start()
	return l.Cursor()
}

// Mark appends to the Log an entry that is no event, and returns its position: after every
// event that a dispatch has returned for before the call, in any process, even one that has
// not arrived here yet. Pass it to WaitFor, here or in another process. It returns the error
// of the Log, [ErrClosed] after Close, and the zero Cursor for a hub without a Log.
func (h *Hub) Mark(ctx context.Context) (backplane.Cursor, error) {
	_, f := h.start()
	if f == nil {
		return backplane.Cursor{}, nil
	}
	return f.mark(ctx)
}

// WaitFor waits until the hub has delivered every event up to c. Use it before
// sending information out of band that must not overtake those events. It returns
// the context's error if that is done first, and [ErrClosed] after Close. It
// returns at once for the zero Cursor, and for a hub without a Log.
func (h *Hub) WaitFor(ctx context.Context, c backplane.Cursor) error {
	_, f := h.start()
	if f == nil || c.Seq == 0 {
		return nil
	}
	return f.wait(ctx, c)
}

// Close stops following the Log and waits for work in progress. Streams stay open,
// but no events come from the log any longer, and dispatching returns [ErrClosed].
// Shut the server down first. A hub without a Log has nothing to close.
func (h *Hub) Close() error {
	if _, f := h.start(); f != nil {
		f.cancel()
		f.running.Wait()
	}
	return nil
}

// all returns all sets.
func (h *Hub) all() (sets []*Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.sets {
		if s := p.Value(); s != nil {
			sets = append(sets, s)
		}
	}
	return sets
}

// forget removes the name of a set that is gone, if no new one has it.
func (h *Hub) forget(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sets[name].Value() == nil {
		delete(h.sets, name)
	}
}

// Len returns the number of sets.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sets)
}

// Add adds a source to several sets at once and reports whether it joined any;
// see [Set.Add]. A source that resumes gets what it missed in all of them, in
// one order. Added to one set after the other, it would resume in the first alone.
// Names that come from the client should be checked, and counted: each makes a set.
func (h *Hub) Add(source *EventSource, names ...string) bool {
	sets := make([]*Set, len(names))
	for i, name := range names {
		sets[i] = h.Set(name) // may panic, in NewSet
	}
	j := join{source: source}
	for _, s := range sets {
		if m := s.enter(source, nil, nil); m != nil {
			j.sets, j.members = append(j.sets, s), append(j.members, m)
		}
	}
	if len(j.members) == 0 {
		return false
	}
	var f *follower
	j.log, f = h.start()
	j.begin(f)
	for i, s := range j.sets {
		s.announce(j.members[i], source)
	}
	return true
}
