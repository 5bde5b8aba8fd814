package sse

import (
	"sync"
	"sync/atomic"
	"time"
)

// ReadyState is the state of a stream, with the values of the browser's
// EventSource.readyState.
type ReadyState int

// The states of a stream.
const (
	Connecting ReadyState = iota // no stream yet
	Open                         // events can be dispatched
	Closed                       // ended, or about to: what was dispatched before may still be on its way
)

// An EventSource is the sending end of one event stream, the counterpart of the
// browser's object of that name. [Accept] makes one for a request.
//
// Its methods may be called from any goroutine. A nil source is a closed one, and
// so is one that Accept did not make, but for its ReadyState, [Connecting].
type EventSource struct {
	mu       sync.Mutex    // of what is not said to be otherwise
	detached *detached     // the way to the client, once the stream is detached: out
	reason   error         // why it is ending; no event is taken once it is set
	opened   time.Time     // for good
	updated  time.Duration // the end of the last write of an event, after opened

	members []*member // of sets
	one     [1]*member
	queue   []item // dispatched to this source alone

	// The first membership, and detached. They are here, and not on their own,
	// because a walk over many sources costs as much time as it touches memory.
	first member
	out   detached

	attached *attached     // the way to the client, until the stream is detached
	queued   int           // bytes in queue
	room     chan struct{} // closed when the queue has been taken; nil if nobody waits
	drainBy  time.Duration // the end of a shutdown's patience, after opened; 0 before
	done     chan struct{} // closed when it has ended; nil until Done is called
	after    *afterFunc    // what is called then
	ended    bool          // nothing is written any more
	resumed  bool          // lastEventID has served
	order    snapshotOrder // while a set's Snapshot is called

	moved atomic.Int64 // when the client last took a piece, in Unix nanoseconds

	url, lastEventID string
	keepAlive        time.Duration
	writeTimeout     time.Duration
	retry            time.Duration
	backlog          int
	drain            *drain // of the server, nil without one
	drainAt          int    // in drain.sources, guarded by drain.mu
}

// Dispatch sends an event of the given type, "" for "message". It is
// DispatchEvent(Event{Type: typ, Data: data}).
func (s *EventSource) Dispatch(typ, data string) error {
	return s.DispatchEvent(Event{Type: typ, Data: data})
}

// DispatchEvent sends an event to this client alone.
//
// It may write to the client itself, or wait until there is room in the
// client's backlog, which slows a producer, say a loop over the tokens of a
// language model, to the pace of its reader. It does so for the write timeout
// at most, then the stream ends. A nil error means that the event was taken: it
// is written in the order of the calls, unless the stream ends before for
// another reason than [EventSource.Close] or a shutdown.
//
// An event that cannot be sent is an [ErrInvalidEvent] and changes nothing.
// Once the stream has ended the error is the one that [EventSource.Err] tells.
func (s *EventSource) DispatchEvent(e Event) error {
	if !s.accepted() {
		return ErrClosed
	}
	chunk, err := e.chunk()
	if err != nil {
		return err
	}
	if err := s.pushWhenRoom(chunk); err != nil {
		return err
	}
	s.write()
	if err := s.Err(); !graceful(err) {
		return err
	}
	return nil
}

// write sees to it that what is pending gets written, if need be by the caller,
// who may wait for the client.
func (s *EventSource) write() {
	if a, d := s.way(); d != nil {
		d.nudge()
	} else {
		a.write()
	}
}

// nudge is write for callers that wait for nobody.
func (s *EventSource) nudge() {
	if a, d := s.way(); d != nil {
		d.nudge()
	} else {
		a.nudge()
	}
}

// writing reports whether the client has been sent something that it has not
// taken yet. The caller holds s.mu.
func (s *EventSource) writing() bool {
	if d := s.detached; d != nil {
		return len(d.flight) > 0
	}
	return !s.attached.writing.IsZero()
}

// way returns the stream's way to its client. If that is changed meanwhile, what
// was pending before is written by whoever changes it.
func (s *EventSource) way() (*attached, *detached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attached, s.detached
}

// accepted reports whether the source comes from Accept. Another one cannot be
// used, and is no reason to panic.
func (s *EventSource) accepted() bool { return s != nil && !s.opened.IsZero() }

// ReadyState returns [Open] until the stream is closed from either end.
func (s *EventSource) ReadyState() ReadyState {
	if s == nil {
		return Closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.opened.IsZero():
		return Connecting
	case s.reason != nil:
		return Closed
	}
	return Open
}

// URL returns the URL of the request, as the server received it: in general
// the path and the query alone.
func (s *EventSource) URL() string {
	if s == nil {
		return ""
	}
	return s.url
}

// LastEventID returns the id of the last event that the client has seen, by
// its own account: the request's Last-Event-ID header, or else the query
// parameter lastEventId. It is empty for a client that is new.
func (s *EventSource) LastEventID() string {
	if s == nil {
		return ""
	}
	return s.lastEventID
}

// OpenedAt returns when the stream was accepted.
func (s *EventSource) OpenedAt() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.opened
}

// UpdatedAt returns when an event was last written to the client, or else when
// the stream was accepted. Keep-alive comments do not count.
func (s *EventSource) UpdatedAt() time.Time {
	if s == nil {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened.Add(s.updated)
}
