package sse

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// SlowPolicy is what a [Set] does with a member for which more than its
// backlog waits; see [AcceptOptions].
type SlowPolicy int

const (
	// CloseSlow ends the stream with [ErrSlow]. The client reconnects, and
	// resumes where it was if the set's history reaches back so far.
	CloseSlow SlowPolicy = iota

	// SkipSlow drops the events that wait, but for the newest.
	SkipSlow

	// LatestPerKey sends, of the events that wait for a member and have the
	// same key, only the last; not only once the backlog is full. A member for
	// which more than its backlog is left then is closed, as by CloseSlow.
	LatestPerKey
)

// A Set is a group of sources that are sent the same events. The zero value is
// ready to use; the exported fields may be set before first use and not after.
// Its methods may be called from any goroutine.
//
// All members get the events in the same order, each once. [Set.Dispatch]
// never waits for a client. A source that ends, for whatever reason, leaves
// all of its sets at once.
//
// A set keeps its newest events for a while. A client that reconnects, and
// names the last event it has seen, first gets all those that it missed.
type Set struct {
	// History, HistoryBytes and HistoryAge bound what is kept for clients that
	// come back: by count, 0: 1024 events; by size, 0: 1 MiB; by age, 0: 5
	// minutes. A negative HistoryBytes or HistoryAge is no bound; with a
	// negative History nothing is kept, and events get no ids.
	History      int
	HistoryBytes int
	HistoryAge   time.Duration

	// Slow is the policy for members that are too far behind.
	Slow SlowPolicy

	// Key returns an event's key for LatestPerKey. Nil: the event's type.
	Key func(Event) string

	// Snapshot, if not nil, is called by Add for a source that cannot resume:
	// a new one, or one whose last event is no longer kept, came from another
	// process, or is nonsense. It returns the state as it is now. The events
	// dispatched to the set meanwhile follow it, so that none is missed; some of
	// them may be part of that state already. An error ends the source's stream, so
	// that its client tries again.
	Snapshot func(*EventSource) ([]Event, error)

	// AcceptOptions are the options that ServeHTTP accepts requests with.
	AcceptOptions *AcceptOptions

	once sync.Once
	log  *log   // assigned by once, or by the Hub
	name string // in the Hub

	total   atomic.Int64  // bytes dispatched so far
	skipped atomic.Uint64 // events, by SkipSlow

	delivery turn // to walk the members

	mu      sync.Mutex // before log.mu, before EventSource.mu
	members []*member

	// Guarded by log.mu.
	tail    *entry // the empty one
	newest  *entry // in the history
	open    int    // members that are counted
	walked  int64  // total, at the last walk over the members
	offered int64  // bytes given to each member apart since then, by a Map
	behind  bool   // the members are, for want of processor time
	calm    chan struct{}
}

// init returns the set's log, made at first use.
func (s *Set) init() *log {
	s.once.Do(func() {
		if s.log == nil {
			s.log = newLog(s.History, s.HistoryBytes, s.HistoryAge)
		}
		s.tail = new(entry)
	})
	return s.log
}

// Dispatch sends an event of the given type, "" for "message", to all members.
// It is DispatchEvent(Event{Type: typ, Data: data}).
func (s *Set) Dispatch(typ, data string) (int, error) {
	return s.DispatchEvent(Event{Type: typ, Data: data})
}

// DispatchEvent sends an event to all members and returns how many there are.
//
// It never waits for a client: the event is encoded, added to the set's log,
// and each member is sent it at the member's own pace. A program that
// dispatches faster than the machine can write is slowed down a little, by at
// most 20 ms a call.
//
// An event that cannot be sent is an [ErrInvalidEvent], and nobody gets it.
//
// In a [Hub] with a Log the members in other processes get it too, and are not
// counted; it waits for the log, for 10 s at most. See [Set.DispatchOnce].
func (s *Set) DispatchEvent(e Event) (int, error) {
	l := s.init()
	if l.shared != nil {
		ctx, cancel := context.WithTimeout(l.shared.ctx, dispatchTimeout)
		defer cancel()
		return s.DispatchOnce(ctx, "", e)
	}
	return s.dispatch("", e)
}

// DispatchOnce is [Set.DispatchEvent] with a context, and with a name for this
// dispatch: a second one of that name, however long the history reaches back, or
// for two minutes on a [Hub]'s Log from whichever process, sends nothing. An
// empty name is none.
//
// On a Hub's Log it returns once the log has taken the event, which then
// reaches the members in all processes, in the log's order. An error that wraps
// [backplane.ErrIndeterminate] says that it is not known whether it has: the context
// was done before. The event can be dispatched again under the same name. With
// any other error nobody gets it: [ErrInvalidEvent]; [ErrTooLarge] beyond 256 KiB
// with the set's name; [ErrClosed] after [Hub.Close].
func (s *Set) DispatchOnce(ctx context.Context, name string, e Event) (int, error) {
	l := s.init()
	if l.shared == nil {
		return s.dispatch(name, e)
	}
	if err := l.shared.dispatch(ctx, name, s.name, e); err != nil {
		return 0, err
	}
	return s.Len(), nil
}

// dispatch is DispatchOnce on a log in memory.
func (s *Set) dispatch(once string, e Event) (int, error) {
	buf, err := e.encode(idRoom)
	if err != nil {
		return 0, err
	}
	l := s.log
	key := s.key(e)
	l.mu.Lock()
	n := s.open
	var calm <-chan struct{}
	again := once != "" && l.has(s, once)
	if !again {
		l.append(s, buf, about{key: key, id: e.ID, once: once})
		calm = s.tooFast()
	}
	l.mu.Unlock()
	if n > 0 && !again {
		s.startDelivery()
		wait(calm)
	}
	return n, nil
}

// key returns an event's key for LatestPerKey, and none for other policies.
func (s *Set) key(e Event) string {
	switch {
	case s.Slow != LatestPerKey:
		return ""
	case s.Key != nil:
		return s.Key(e)
	}
	return e.Type
}

// Add adds a source and reports whether it did: not if the source is nil, has
// ended, or is a member already.
//
// The source resumes after the event that its [EventSource.LastEventID] names,
// if the set still keeps all that followed; otherwise it begins with the
// set's Snapshot, if there is one, and the next event. The id serves once: a
// source that is deleted and added again begins anew. In a [Hub] with a Log, Add
// may wait: see there.
func (s *Set) Add(source *EventSource) bool { return s.add(source, nil) }

func (s *Set) add(source *EventSource, value any) bool {
	m := s.enter(source, value)
	if m == nil {
		return false
	}
	join(source, []*member{m})
	return true
}

// Delete takes a source out of the set and leaves it open. It reports whether
// the source was a member. Events dispatched before still reach it.
func (s *Set) Delete(source *EventSource) bool {
	m := s.member(source)
	return m != nil && m.delete()
}

// Has reports whether the source is a member.
func (s *Set) Has(source *EventSource) bool {
	m := s.member(source)
	if m == nil {
		return false
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return m.counted // from then on it is sent what is dispatched
}

// Len returns the number of members.
func (s *Set) Len() int {
	l := s.init()
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.open
}

// All returns an iterator over the members, in no particular order. Members
// may be added and deleted, closed too, while it goes on: it yields those that
// it began with, less those that have left.
func (s *Set) All() iter.Seq[*EventSource] {
	return func(yield func(*EventSource) bool) {
		for _, m := range s.list() {
			if s.Has(m.source) && !yield(m.source) {
				return
			}
		}
	}
}

// Clear takes all sources out of the set and leaves them open.
func (s *Set) Clear() {
	for _, m := range s.list() {
		m.delete()
	}
}

// CloseAll closes all members, without waiting for it: each is sent what still
// waits for it, and then its Done channel is closed.
func (s *Set) CloseAll() {
	for _, m := range s.list() {
		m.source.end(ErrClosed)
	}
}

// Skipped returns how many events, counted once for each member that did not
// get them, were dropped by [SkipSlow].
func (s *Set) Skipped() uint64 { return s.skipped.Load() }

// ServeHTTP answers a request with a stream of the set's events:
//
//	http.Handle("GET /events", &group)
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	Serve(w, r, s.AcceptOptions, func(source *EventSource) { s.Add(source) })
}

func (s *Set) list() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*member(nil), s.members...)
}

func (s *Set) member(source *EventSource) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(source)
}
