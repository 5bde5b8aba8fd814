package sse

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/stream"
)

// SlowPolicy is what a [Set] does with a member for which more than its
// backlog waits; see [AcceptOptions].
type SlowPolicy int

const (
	// CloseSlow ends the stream with [ErrSlow]. The client reconnects, and
	// resumes where it was if the set's history reaches back so far.
	CloseSlow = SlowPolicy(stream.CloseSlow)

	// SkipSlow drops the events that wait, except the newest.
	SkipSlow = SlowPolicy(stream.SkipSlow)

	// LatestPerKey sends, of the events that wait for a member and have the
	// same key, only the last; not only once the backlog is full. A member for
	// which more than its backlog is left then is closed, as by CloseSlow.
	LatestPerKey = SlowPolicy(stream.LatestPerKey)
)

// String returns "close", "skip" or "latest".
func (p SlowPolicy) String() string { return name(int(p), "close", "skip", "latest") }

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
	// reconnect: by count, 0: 1024 events; by size, 0: 1 MiB; by age, 0: 5
	// minutes. A negative HistoryBytes or HistoryAge is no bound; with a
	// negative History nothing is kept, and events get no ids.
	History      int
	HistoryBytes int
	HistoryAge   time.Duration

	// Slow is the policy for members that are too far behind.
	Slow SlowPolicy

	// Key returns an event's key for LatestPerKey. Nil: the event's type.
	Key func(Event) string

	// Snapshot, if not nil, is called by Add for a source that cannot resume: a
	// new one, or one whose last event is no longer kept, came from another
	// process, or is nonsense. It returns the state as it is now. The events
	// dispatched to the set meanwhile follow it, so that none is missed; some of
	// them may be part of that state already. It should not dispatch to the
	// source: that waits for Snapshot to return. An error ends the source's
	// stream, so that its client tries again.
	Snapshot func(*EventSource) ([]Event, error)

	// Replay lets a source that cannot resume begin with the oldest event that is
	// kept, for streams that are of use as a whole: the answer of a language model,
	// the log of a job. Whoever joins late, or reloads the page, gets all of it, each
	// event once. Let the last event say that it is the last one, so that late readers
	// know, too, and close their end. The history's bounds should be larger than
	// the whole: if the oldest events are no longer kept, the source gets the set's
	// Snapshot instead, as it does if there are none yet or, without a Snapshot, an
	// event of type "gap" and then what is kept. The same event precedes a replay to a
	// client that has seen something before: it should drop what it has.
	Replay bool

	// Joined and Left, if not nil, are called when a source joins the set, and leaves
	// it: Joined by Add, before that returns, and Left in a goroutine of its own, once
	// for each call of Joined and after it. The error is nil if the source was deleted,
	// and else why its stream has ended; see [EventSource.Err]. For all sets of a [Hub]
	// they are set by NewSet.
	Joined func(*EventSource)
	Left   func(*EventSource, error)

	// AcceptOptions are the options that ServeHTTP accepts requests with.
	AcceptOptions *AcceptOptions

	once  sync.Once
	log   *eventlog.Log // assigned by once, or by the Hub
	topic eventlog.Topic
	group stream.Group

	decoded decoded

	name string    // in the Hub
	hub  *follower // of a Hub with a Log
}

// init returns the set's log, made at first use.
func (s *Set) init() *eventlog.Log {
	s.once.Do(func() {
		if s.log == nil {
			s.log = eventlog.New(eventlog.Options{Events: s.History, Bytes: s.HistoryBytes, Age: s.HistoryAge})
		}
		switch {
		case s.Replay && s.Snapshot != nil:
			s.topic.Replay = eventlog.ReplayWhole
		case s.Replay:
			s.topic.Replay = eventlog.ReplayKept
		}
		s.topic.Open(s.log)
		s.group.Topic, s.group.Slow = &s.topic, stream.SlowPolicy(s.Slow)
		if s.Left != nil {
			s.group.Left = func(owner any, err error) { s.Left(owner.(*EventSource), err) }
		}
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
// most 20 ms a call; see the package comment.
//
// An event that cannot be sent is an [ErrInvalidEvent], and no client gets it.
//
// In a [Hub] with a Log the members in other processes get it too, and are not
// counted; it waits for the log, for 10 s at most. See [Set.DispatchOnce].
func (s *Set) DispatchEvent(e Event) (int, error) {
	s.init()
	if s.hub != nil {
		ctx, cancel := context.WithTimeout(s.hub.ctx, dispatchTimeout)
		defer cancel()
		return s.DispatchOnce(ctx, "", e)
	}
	return s.dispatch("", e)
}

// DispatchOnce is DispatchEvent with a context and an idempotency key. If an event
// with the same key was dispatched to the set before, DispatchOnce does nothing and
// returns nil. Keys are remembered as long as the event is in the history; with a
// Hub's Log, for at least two minutes, across all processes. An empty key turns
// this off.
//
// On a Hub's Log it returns once the log has accepted the event and it has come
// back to this process; the event reaches the members in all processes, in the log's
// order. An error that wraps [backplane.ErrIndeterminate] means the outcome is unknown, or
// the order: the context ended before the log answered, or before the event came
// back. Retry with the same key. With any other error no client gets the event:
// [ErrInvalidEvent]; [ErrTooLarge] beyond 256 KiB with the set's name; [ErrClosed]
// after [Hub.Close].
func (s *Set) DispatchOnce(ctx context.Context, key string, e Event) (int, error) {
	s.init()
	if s.hub == nil {
		return s.dispatch(key, e)
	}
	if err := s.hub.dispatch(ctx, key, s.name, e); err != nil {
		return 0, err
	}
	return s.Len(), nil
}

// DispatchIn is DispatchOnce in a transaction of a database: if it commits, the members in
// all processes get the event, and otherwise nobody does. The set must be of a [Hub], whose
// Log must be the one that the outbox adds to; package pglog has one.
//
// DispatchIn does not wait for the event, which cannot come before the commit. If it returns
// an error, roll the transaction back: [ErrInvalidEvent], [ErrTooLarge] and [ErrClosed] as in
// DispatchOnce, or the database's.
func (s *Set) DispatchIn(ctx context.Context, o backplane.Outbox, key string, e Event) error {
	s.init()
	if s.hub == nil {
		return errOutbox
	}
	return s.hub.put(ctx, o, key, s.name, e)
}

// dispatch is DispatchOnce on a log in memory.
func (s *Set) dispatch(once string, e Event) (int, error) {
	encoded, err := e.encode()
	if err != nil {
		return 0, err
	}
	n, appended := s.topic.Append(eventlog.Event{Encoded: encoded, Key: s.key(e), ID: e.ID, Once: once})
	if appended && n > 0 {
		s.group.Deliver()
		s.group.Pace(0)
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

// Add adds a source and reports whether it did; it does not if the source is nil,
// has ended, or is a member already.
//
// The source resumes after the event that its [EventSource.LastEventID] names,
// if the set still keeps all that followed; otherwise it begins with the
// set's Snapshot, if there is one, and the next event. The id serves once: a
// source that is deleted and added again begins like a new one. If Snapshot fails,
// the source ends, and if it panics, Add does too. In a [Hub] with a Log, Add may
// block; see [Hub.Log].
func (s *Set) Add(source *EventSource) bool { return s.add(source, nil, nil) }

func (s *Set) add(source *EventSource, value any, v *stream.View) bool {
	m := s.enter(source, value, v)
	if m == nil {
		return false
	}
	j := join{source: source, log: s.log, sets: []*Set{s}, members: []*stream.Member{m}}
	j.begin(s.hub)
	s.announce(m, source)
	return true
}

// announce calls Joined, and lets Left be called.
func (s *Set) announce(m *stream.Member, source *EventSource) {
	if s.Joined != nil {
		s.Joined(source)
	}
	s.group.Announce(m)
}

// enter makes the source a member without a place in the log.
func (s *Set) enter(source *EventSource, value any, v *stream.View) *stream.Member {
	if !source.accepted() {
		return nil
	}
	s.init()
	return s.group.Enter(&source.stream, value, v)
}

// Delete takes a source out of the set and leaves it open. It reports whether
// the source was a member. Events dispatched before still reach it.
func (s *Set) Delete(source *EventSource) bool {
	return source.accepted() && s.group.Delete(&source.stream)
}

// Has reports whether the source is a member.
func (s *Set) Has(source *EventSource) bool {
	return source.accepted() && s.group.Has(&source.stream)
}

// Len returns the number of members, in a [Hub] with a Log those in this process.
func (s *Set) Len() int {
	s.init()
	return s.topic.Readers()
}

// All returns an iterator over the members, in no particular order. Members
// may be added and deleted, closed too, while it runs: it yields those that
// it began with, except those that have left.
func (s *Set) All() iter.Seq[*EventSource] {
	return func(yield func(*EventSource) bool) {
		for _, m := range s.group.Members() {
			source := m.Stream().Owner.(*EventSource)
			if s.Has(source) && !yield(source) {
				return
			}
		}
	}
}

// Clear takes all sources out of the set and leaves them open.
func (s *Set) Clear() {
	for _, m := range s.group.Members() {
		s.group.Delete(m.Stream())
	}
}

// CloseAll closes all members, without waiting for them: each is sent what was
// dispatched before, and then its Done channel is closed. It is CloseAllWith, without
// a last event, and on a Hub's Log for 10 s at most. On other sets the error is nil.
func (s *Set) CloseAll() error {
	if s.init(); s.hub == nil {
		s.group.CloseAll()
		return nil
	}
	ctx, cancel := context.WithTimeout(s.hub.ctx, dispatchTimeout)
	defer cancel()
	return s.hub.closeAll(ctx, s.name, Event{})
}

// CloseAllWith is CloseAll with a context and, unless it is the zero Event, a last event
// for each member, at which pages close their EventSource; others reconnect. It does
// not become part of the history.
//
// In a [Hub] with a Log it closes the members in all processes, at one place in the log's
// order: each member gets the events before it, and a source that is added later stays
// open. So it logs a user out whose pages are all in one set:
//
//	err := hub.Set("user:" + user).CloseAllWith(ctx, sse.Event{Type: "logout"})
//
// It returns once the log has accepted it and it has come back to this process. While
// the log cannot be reached it waits until the context ends, and is done as soon as
// the log can be reached. The errors are those of [Set.DispatchOnce]; after any of them
// it is safe to call it again.
//
// End the user's session before, and let whoever adds a source check the session again
// after [Set.Add]: either the check fails, or the source is closed.
func (s *Set) CloseAllWith(ctx context.Context, last Event) error {
	if s.init(); s.hub != nil {
		return s.hub.closeAll(ctx, s.name, last)
	}
	if err := last.check(); err != nil {
		return err
	}
	s.group.CloseAll(last.last()...)
	return nil
}

// Skipped returns how many events, counted once for each member that did not
// get them, were dropped by [SkipSlow].
func (s *Set) Skipped() uint64 { return s.group.Skipped() }

// ServeHTTP answers a request with a stream of the set's events. It is [Serve] with
// [Set.Add]:
//
//	http.Handle("GET /events", &group)
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	Serve(w, r, s.AcceptOptions, func(source *EventSource) { s.Add(source) })
}
