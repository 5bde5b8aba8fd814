package sse

import (
	"context"
	"sync/atomic"
	"time"

	"example.org/sse/internal/stream"
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

// String returns "connecting", "open" or "closed".
func (s ReadyState) String() string { return name(int(s), "connecting", "open", "closed") }

func name(i int, names ...string) string {
	if i < 0 || i >= len(names) {
		return "invalid"
	}
	return names[i]
}

// An EventSource is the sending end of one event stream, the counterpart of the
// browser's object of that name. [Accept] and [Serve] make one for a request.
//
// Its methods may be called from any goroutine. A nil source is a closed one, and
// so is one that was made otherwise, except that its ReadyState is [Connecting].
type EventSource struct {
	stream           stream.Stream
	url, lastEventID string
	resumed          atomic.Bool // lastEventID has served
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
// is written in the order of the calls, unless the stream ends before because of
// its client, its context or a Snapshot.
//
// An event that cannot be sent is an [ErrInvalidEvent] and changes nothing.
// Once the stream has ended the error is that of [EventSource.Err].
func (s *EventSource) DispatchEvent(e Event) error {
	if !s.accepted() {
		return ErrClosed
	}
	chunk, err := e.chunk()
	if err != nil {
		return err
	}
	return s.stream.Send(chunk)
}

// accepted reports whether the source comes from Accept or Serve. Another one cannot
// be used, and is no reason to panic.
func (s *EventSource) accepted() bool { return s != nil && s.stream.Began() }

// ReadyState returns [Open] until the stream is closed from either end.
func (s *EventSource) ReadyState() ReadyState {
	switch {
	case s == nil:
		return Closed
	case !s.accepted():
		return Connecting
	case s.stream.Closed():
		return Closed
	}
	return Open
}

// URL returns the URL of the request, as the server received it: in general
// the path and the query alone. A URL of more than 8 KiB is cut there.
func (s *EventSource) URL() string {
	if s == nil {
		return ""
	}
	return s.url
}

// LastEventID returns the id of the last event that the client has seen, by
// its own account: the request's Last-Event-ID header, or else the query
// parameter lastEventId. It is empty for a new client. An id of more than 4 KiB is
// cut there, and so is unknown.
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
	return s.stream.OpenedAt()
}

// UpdatedAt returns when an event was last written to the client, or else when
// the stream was accepted. Keep-alive comments do not count.
func (s *EventSource) UpdatedAt() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.stream.UpdatedAt()
}

// Wait returns when the stream has ended, with the error of [EventSource.Err].
// Nothing touches the ResponseWriter afterwards.
func (s *EventSource) Wait() error {
	if !s.accepted() {
		return ErrClosed
	}
	return s.stream.Wait()
}

// Close takes no more events, sends those that wait, and ends the stream; it waits
// for that, for the write timeout at most. Nothing touches the ResponseWriter
// afterwards. A stream that has ended already is left as it is.
//
// The response itself ends when its handler returns.
func (s *EventSource) Close() error {
	if s.accepted() {
		s.stream.Close()
	}
	return nil
}

// Done returns a channel that is closed when the stream has ended, for
// whatever reason.
func (s *EventSource) Done() <-chan struct{} {
	if !s.accepted() {
		return closed
	}
	return s.stream.Done()
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Context returns a context that is done when the stream has ended, for whatever
// reason; [context.Cause] then returns [EventSource.Err]. It has the values of the
// request's context, unless the stream was detached before. Pass it to what a handler
// waits for besides the stream, such as a language model: unlike the request's context
// it ends at a shutdown too. Each call returns a context of its own.
func (s *EventSource) Context() context.Context {
	if !s.accepted() {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(ErrClosed)
		return ctx
	}
	return s.stream.Context()
}

// Err returns nil until Done is closed, and then why the stream ended:
// [ErrClosed], [ErrGone], [ErrSlow], [ErrShutdown], [ErrExpired], [ErrMaxAge],
// [ErrLimited], the error of a [Set]'s Snapshot, or the cause of the request's
// context if the program gave it one.
func (s *EventSource) Err() error {
	if !s.accepted() {
		return ErrClosed
	}
	return s.stream.Err()
}

// AfterFunc arranges to call f in its own goroutine after the stream has ended,
// for whatever reason; [EventSource.Err] then returns it. If the stream has already
// ended, f is called immediately. Use it to free what belongs to a stream of
// [Serve], which has no handler that waits. Several functions may be arranged.
//
// Calling stop prevents the call. It reports whether it did so; it returns false
// if f has already been started or stopped. See [context.AfterFunc].
func (s *EventSource) AfterFunc(f func()) (stop func() bool) {
	if !s.accepted() {
		go f()
		return func() bool { return false }
	}
	return s.stream.AfterFunc(f)
}
