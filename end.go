package sse

import (
	"context"
	"math/rand/v2"
	"time"
)

// drainTimeout is how long a client may take for what it is sent once the
// server is shutting down, if its write timeout is not shorter anyway.
const drainTimeout = 5 * time.Second

// handlerTimeout is how long a handler may go on after its stream has ended for
// the response to end cleanly.
const handlerTimeout = time.Minute

// Detach leaves the stream open and returns, where the stream can go on
// without its handler: HTTP/1.1 on a plain TCP connection, on Linux. Elsewhere
// it is [EventSource.Wait]. It is meant as the handler's last statement, since
// nothing may use the ResponseWriter after it.
//
// No connection is taken over yet: Detach waits.
func (s *EventSource) Detach() error { return s.Wait() }

// Wait returns when the stream has ended, with the error that tells why; see
// [EventSource.Err]. Nothing touches the ResponseWriter afterwards.
func (s *EventSource) Wait() error {
	if !s.accepted() {
		return ErrClosed
	}
	s.mu.Lock()
	s.parked = true
	s.mu.Unlock()
	for {
		select {
		case <-s.wake:
			s.run()
		case <-s.done:
			return s.err
		}
	}
}

// Close takes no more events, sends what waits, and ends the stream; it waits
// for that, for the write timeout at most. Nothing touches the ResponseWriter
// afterwards. A stream that has ended already is left as it is.
//
// The response itself ends when its handler returns.
func (s *EventSource) Close() error {
	if !s.accepted() {
		return nil
	}
	s.shut(ErrClosed)
	if s.turn.claim() { // rather than wait for another goroutine to do it
		s.run()
	}
	s.Wait()
	return nil
}

// Done returns a channel that is closed when the stream has ended, for
// whatever reason.
func (s *EventSource) Done() <-chan struct{} {
	if !s.accepted() {
		return closed
	}
	return s.done
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Err returns nil until Done is closed, and then why the stream ended:
// [ErrClosed], [ErrGone], [ErrSlow], [ErrShutdown], or the cause of the
// request's context if the program gave it one.
func (s *EventSource) Err() error {
	if !s.accepted() {
		return ErrClosed
	}
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// end ends the stream, if nothing has ended it before. It waits for nobody.
func (s *EventSource) end(reason error) {
	s.shut(reason)
	s.nudge()
}

// graceful reports whether a stream that ends for that reason still gets what
// was dispatched before.
func graceful(reason error) bool { return reason == ErrClosed || reason == ErrShutdown }

// shut is end without a nudge, for those who have the turn or take it.
func (s *EventSource) shut(reason error) {
	s.mu.Lock()
	if reason == ErrShutdown && s.drainBy.IsZero() {
		s.drainBy = time.Now().Add(drainTimeout)
		if !s.writing.IsZero() {
			s.control.SetWriteDeadline(s.deadline(s.writing))
		}
	}
	if s.reason != nil {
		s.mu.Unlock()
		return
	}
	s.reason = reason
	if graceful(reason) {
		s.queue = s.take(nil)
		if reason == ErrShutdown {
			s.queue = append(s.queue, item{block: retryBlock(s.comeback())})
		}
	} else {
		s.queue = nil
		if reason == ErrSlow && !s.writing.IsZero() {
			s.control.SetWriteDeadline(time.Unix(1, 0)) // fails the write in progress
		}
	}
	members := s.members
	s.members = nil
	s.mu.Unlock()
	for _, m := range members {
		m.set.leave(m)
	}
}

// comeback returns when a client should come back to a server that is being
// restarted: not all clients at once, and not before it may be up again, since
// Firefox gives up for good when a connection is refused.
func (s *EventSource) comeback() time.Duration {
	base := s.retry
	if base == 0 {
		base = time.Second
	}
	return base + rand.N(4*time.Second)
}

// contextError returns why the request's context is done.
func (s *EventSource) contextError() error {
	if cause := context.Cause(s.ctx); cause != context.Canceled {
		return cause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writing.IsZero() && expired(s.deadline(s.writing)) {
		return ErrSlow // HTTP/2 resets the stream, and tells the context first
	}
	return ErrGone
}

// finish ends the stream for those who wait for it. The caller has the turn,
// and keeps it.
func (s *EventSource) finish() {
	s.mu.Lock()
	s.err = s.reason
	s.queue, s.queued = nil, 0
	if s.silence != nil {
		s.silence.Stop()
	}
	if s.stopWatch != nil {
		s.stopWatch()
	}
	if s.http1 && s.ctx.Err() == nil {
		// For the last chunk, which net/http writes once the handler returns; then
		// it clears the deadline.
		s.control.SetWriteDeadline(s.deadline(time.Now().Add(handlerTimeout)))
	}
	s.mu.Unlock()
	if s.drain != nil {
		s.drain.remove(s)
	}
	close(s.done)
}
