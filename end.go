package sse

import (
	"math"
	"math/rand/v2"
	"time"
)

// drainTimeout is how long a client may take for what it is sent once the
// server is shutting down, if its write timeout is not shorter anyway.
const drainTimeout = 5 * time.Second

// handlerTimeout is how long a handler may go on after its stream has ended for
// the response to end cleanly.
const handlerTimeout = time.Minute

// Wait returns when the stream has ended, with the error that tells why; see
// [EventSource.Err]. Nothing touches the ResponseWriter afterwards.
func (s *EventSource) Wait() error {
	if !s.accepted() {
		return ErrClosed
	}
	if a, d := s.way(); d == nil {
		a.parked.Store(true)
		for range a.wake {
			a.run()
		}
	}
	<-s.Done()
	return s.Err()
}

// Close takes no more events, sends what waits, and ends the stream; it waits
// for that, for the write timeout at most. Nothing touches the ResponseWriter
// afterwards. A stream that has ended already is left as it is.
//
// The response itself ends when its handler returns. In a handler that has called
// [EventSource.Detach], Close does nothing: it can be deferred all the same.
func (s *EventSource) Close() error {
	if !s.accepted() {
		return nil
	}
	if _, d := s.way(); d != nil && d.handler == goroutine() {
		return nil // deferred before Detach
	}
	s.shut(ErrClosed)
	s.write()
	s.Wait()
	return nil
}

// Done returns a channel that is closed when the stream has ended, for
// whatever reason.
func (s *EventSource) Done() <-chan struct{} {
	if !s.accepted() {
		return closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return closed
	}
	if s.done == nil {
		s.done = make(chan struct{})
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.reason
	}
	return nil
}

// end ends the stream, if nothing has ended it before. It waits for nobody.
func (s *EventSource) end(reason error) {
	s.shut(reason)
	s.nudge()
}

// graceful reports whether a stream that ends for that reason still gets what
// was dispatched before.
func graceful(reason error) bool { return reason == ErrClosed || reason == ErrShutdown }

// shut is end without a nudge, for those who write themselves.
func (s *EventSource) shut(reason error) {
	s.mu.Lock()
	if reason == ErrShutdown && s.drainBy == 0 {
		s.drainBy = time.Since(s.opened) + drainTimeout
		if s.detached != nil {
			s.detached.hurry()
		} else {
			s.attached.hurry()
		}
	}
	if s.reason != nil {
		s.mu.Unlock()
		return
	}
	s.reason = reason
	s.order = snapshotOrder{} // a snapshot that is still made is of no use any more
	if graceful(reason) {
		s.queue = s.take(nil, math.MaxInt64)
		if reason == ErrShutdown {
			s.queue = append(s.queue, item{chunk: newChunk(retryBlock(s.comeback()))})
		}
		if s.detached != nil {
			s.queue = append(s.queue, item{chunk: lastChunk})
		}
	} else {
		s.queue = nil
		if reason == ErrSlow && s.attached != nil {
			s.attached.abort()
		}
	}
	members := s.members
	s.members = nil
	s.mu.Unlock()
	for _, m := range members {
		m.set.leave(m)
	}
}

// deadline returns when a write that begins now must have ended. The caller
// holds s.mu.
func (s *EventSource) deadline(now time.Time) time.Time {
	var d time.Time
	if s.writeTimeout > 0 {
		d = now.Add(s.writeTimeout)
	}
	if by := s.opened.Add(s.drainBy); s.drainBy != 0 && (d.IsZero() || by.Before(d)) {
		d = by
	}
	return d
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

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

// finish tells those who wait that nothing is written any more.
func (s *EventSource) finish() {
	s.mu.Lock()
	s.ended = true
	s.queue, s.queued = nil, 0
	done, after := s.done, s.after
	s.after = nil
	s.mu.Unlock()
	if s.drain != nil {
		s.drain.remove(s)
	}
	if done != nil {
		close(done)
	}
	after.call()
}
