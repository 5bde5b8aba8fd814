package sse

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
	"weak"

	"example.org/sse/backplane"
)

// A Hub is any number of sets by name, for rooms, topics or users, on one log:
// events of different sets have one order, and a source in several of them one
// place to resume from. The zero value is ready to use; the exported fields may
// be set before first use and not after. Its methods may be called from any
// goroutine.
type Hub struct {
	// History, HistoryBytes and HistoryAge bound what all sets together keep
	// for clients that come back; see [Set]. The sets' own bounds are not used.
	History      int
	HistoryBytes int
	HistoryAge   time.Duration

	// Log, if not nil, joins the hub to those of other processes on the same log:
	// sets of one name are one set. What is dispatched to it goes to the log first,
	// and from there to the members in all processes, in one order; a client that
	// comes back to another process resumes there. Packages natslog and redislog
	// have logs on brokers.
	//
	// The hub follows the log in a goroutine, from the first use of a method on,
	// until Close. Before it has the log's history, see WaitReady, and for up to 10 s if
	// a client has seen an event that is still to come here, adding a source waits.
	// If the log has lost events, or this process has fallen behind it by more
	// than is kept, every member gets its set's Snapshot, or, where there is
	// none, an event of type "gap" without data.
	Log backplane.Log

	// NewSet, if not nil, sets the fields of a set when it is made. It must not
	// call the hub.
	NewSet func(name string, s *Set)

	mu   sync.Mutex
	log  *log
	sets map[string]weak.Pointer[Set]
}

// Set returns the set of that name. It is made at first use, and gone when
// nobody needs it any more: it has no members, no history, and the program
// holds it no longer.
func (h *Hub) Set(name string) *Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sets[name].Value(); s != nil {
		return s
	}
	h.init()
	s := new(Set)
	if h.NewSet != nil {
		h.NewSet(name, s)
	}
	s.log, s.name = h.log, name
	s.init()
	h.sets[name] = weak.Make(s)
	runtime.AddCleanup(s, h.forget, name)
	return s
}

// init makes the hub's log at first use. The caller holds h.mu.
func (h *Hub) init() *log {
	if h.log == nil {
		h.sets = make(map[string]weak.Pointer[Set])
		h.log = newLog(h.History, h.HistoryBytes, h.HistoryAge)
		if h.Log != nil {
			h.follow()
		}
	}
	return h.log
}

// start is init for callers without a lock.
func (h *Hub) start() *log {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.init()
}

// WaitReady waits until the hub has the history of its Log, so that a client which has
// been served elsewhere can resume here. A process that is new should not be sent
// requests before, and one that has missed something not until it has caught up.
// It returns the context's error if that is done first, and [ErrClosed] after
// Close. A hub without a Log is always ready.
func (h *Hub) WaitReady(ctx context.Context) error {
	f := h.start().shared
	if f == nil {
		return nil
	}
	if err := f.wait(ctx, func() bool { return f.live }); err != nil {
		return fmt.Errorf("sse: the log has not been read yet: %w", err)
	}
	return nil
}

// Cursor returns the position in the Log up to which the hub has delivered every
// event. It is the zero Cursor for a hub without a Log.
func (h *Hub) Cursor() backplane.Cursor {
	l := h.start()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// WaitFor waits until the hub has delivered every event up to c. Use it before
// sending information out of band that must not overtake those events. It returns
// the context's error if that is done first, and [ErrClosed] after Close. It
// returns at once for the zero Cursor, and for a hub without a Log.
func (h *Hub) WaitFor(ctx context.Context, c backplane.Cursor) error {
	l := h.start()
	if l.shared == nil || c.Seq == 0 {
		return nil
	}
	return l.shared.wait(ctx, func() bool { return l.shared.live && l.at.Seq >= c.Seq })
}

// Close has the hub follow its Log no longer, and waits for what is going on.
// Streams stay open, but nothing comes from the log any more, and dispatching
// returns [ErrClosed]. Shut the server down before. A hub without a Log has
// nothing to close.
func (h *Hub) Close() error {
	if f := h.start().shared; f != nil {
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
// one order. Added one by one, it would resume in the first alone. Names that
// come from the client should be checked, and counted: each makes a set.
func (h *Hub) Add(source *EventSource, names ...string) bool {
	var sets []*Set
	for _, name := range names {
		sets = append(sets, h.Set(name)) // may call NewSet, and so comes first
	}
	var members []*member
	for _, s := range sets {
		if m := s.enter(source, nil); m != nil {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return false
	}
	join(source, members)
	return true
}
