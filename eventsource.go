package sse

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ReadyState is the state of a stream, with the values of the browser's
// EventSource.readyState.
type ReadyState int

// The states of a stream.
const (
	Connecting ReadyState = iota // not accepted yet
	Open                         // events can be dispatched
	Closed                       // ended, or about to: what was dispatched before may still be on its way
)

// An EventSource is the sending end of one event stream, the counterpart of the
// browser's object of that name. [Accept] makes one for a request.
//
// Its methods may be called from any goroutine. A nil source is a closed one, and
// so is one that Accept did not make, but for its ReadyState, [Connecting].
type EventSource struct {
	w       http.ResponseWriter
	control *http.ResponseController
	ctx     context.Context // the request's: once it is done, w must not be touched

	url, lastEventID string
	opened           time.Time
	keepAlive        time.Duration
	writeTimeout     time.Duration
	backlog          int
	retry            time.Duration
	http1            bool
	drain            *drain // of the server, nil without one

	turn  turn          // to write to w
	wake  chan struct{} // hands the turn to the goroutine parked in Wait
	moved atomic.Int64  // when the client last took a piece, in Unix nanoseconds
	done  chan struct{} // closed by finish, after the last write
	err   error         // why it ended, readable once done is closed

	mu        sync.Mutex
	reason    error // why it is ending; no event is taken once it is set
	drainBy   time.Time
	parked    bool // a goroutine is in Wait
	queue     []item
	queued    int           // bytes in queue
	room      chan struct{} // closed when the queue has been taken; nil if nobody waits
	members   []*member     // of sets
	resumed   bool          // lastEventID has served
	pinged    bool          // a comment is due
	writing   time.Time     // when the write in progress began, else zero
	wrote     time.Time     // the end of the last write
	updated   time.Time     // the end of the last write of an event
	silence   *time.Timer
	stopWatch func() bool // of the context
}

// An item is a piece of a stream that waits to be written.
type item struct {
	stamp uint64
	block []byte
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
	block, err := e.encode(0)
	if err != nil {
		return err
	}
	if err := s.pushWhenRoom(block); err != nil {
		return err
	}
	if !s.turn.claim() {
		return nil // whoever has the turn will see it
	}
	if !s.writePending() {
		s.hand() // what came meanwhile is for others to write
		return nil
	}
	if graceful(s.err) {
		return nil
	}
	return s.err
}

// accepted reports whether the source comes from Accept. Another one cannot be
// used, and is no reason to panic.
func (s *EventSource) accepted() bool { return s != nil && s.done != nil }

// pushWhenRoom waits until the block fits into the queue, the first in which does
// not count, and puts it there: in one step, so that of many who wait only those
// get in who fit.
func (s *EventSource) pushWhenRoom(block []byte) error {
	var expired <-chan time.Time
	for {
		s.mu.Lock()
		if s.reason != nil || len(s.queue) == 0 || s.queued-len(s.queue[0].block)+len(block) <= s.backlog {
			err := s.push(block)
			s.mu.Unlock()
			return err
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		if expired == nil && s.writeTimeout > 0 {
			timer := time.NewTimer(s.writeTimeout)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-room:
		case <-s.done:
		case <-expired:
			s.end(ErrSlow)
			return ErrSlow
		}
	}
}

// push puts a block at the end of the queue. The caller holds s.mu.
func (s *EventSource) push(block []byte) error {
	if s.reason != nil {
		return s.reason
	}
	// The stamp is taken under the lock, so that the queue is in their order.
	s.queue = append(s.queue, item{stamp: stamps.Add(1), block: block})
	s.queued += len(block)
	return nil
}

// offer is DispatchEvent for callers that wait for nobody: a source for which
// too much waits already is ended.
func (s *EventSource) offer(block []byte) bool {
	most := int64(s.backlog)
	if s.progress(paceStall(true)) != progressNone {
		most *= readingBacklogs
	}
	s.mu.Lock()
	full := len(s.queue) > 0 && s.waiting()+int64(len(block)) > most
	var err error
	if !full {
		err = s.push(block)
	}
	s.mu.Unlock()
	if full {
		s.end(ErrSlow) // does nothing to one that has ended
		return false
	}
	s.nudge()
	return err == nil
}

// ReadyState returns [Open] until the stream is closed from either end.
func (s *EventSource) ReadyState() ReadyState {
	if s == nil {
		return Closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.done == nil:
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
	return s.updated
}
