package stream

import (
	"math"
	"math/rand/v2"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// DrainTimeout is how long a client may take for what it is sent once the server
// is shutting down, unless its write timeout is shorter.
const DrainTimeout = 5 * time.Second

// handlerTimeout is how long a handler may go on after its stream has ended for
// the response to end cleanly.
const handlerTimeout = time.Minute

// Wait returns when the stream has ended, with the reason. Nothing touches the
// ResponseWriter afterwards.
func (s *Stream) Wait() error {
	if a, d := s.way(); d == nil {
		a.parked.Store(true)
		for range a.wake {
			a.run()
		}
	}
	<-s.Done()
	return s.Err()
}

// Close takes no more events, sends what waits, and ends the stream. It waits for
// that, for the write timeout at most.
func (s *Stream) Close() {
	s.setReason(ErrClosed)
	s.write()
	s.Wait()
}

// End ends the stream, if nothing has ended it before. It never blocks. If the end is
// graceful, the client is sent the last chunks after what was dispatched before.
func (s *Stream) End(reason error, last ...wire.Chunk) {
	s.setReason(reason, last...)
	s.nudge()
}

// graceful reports whether a stream that ends for that reason still gets what was
// dispatched before.
func graceful(reason error) bool {
	return reason == ErrClosed || reason == ErrShutdown ||
		reason == ErrExpired || reason == ErrMaxAge || reason == ErrLimited
}

// setReason decides that the stream ends. Whoever writes next ends it.
func (s *Stream) setReason(reason error, last ...wire.Chunk) {
	if graceful(reason) && !s.seeAll(func() { s.End(reason, last...) }) {
		return // whoever is in a view calls it
	}
	s.mu.Lock()
	if reason == ErrShutdown && s.drainBy == 0 {
		s.drainBy = time.Since(s.opened) + DrainTimeout
		if s.attached == nil {
			s.own.hurryLocked()
		} else {
			s.attached.hurryLocked()
		}
	}
	if s.reason != nil {
		s.mu.Unlock()
		return
	}
	s.reason = reason
	s.holds = nil // a snapshot that is still being made comes too late
	if graceful(reason) {
		for _, m := range s.members {
			if m.view != nil {
				m.view.until = 0 // what came just now is not seen any more
			}
		}
		s.queue = s.takeLocked(nil, math.MaxInt64)
		if reason == ErrShutdown {
			last = append(last, wire.Retry(ReconnectAfter(s.retry)))
		}
		for _, chunk := range last {
			s.queue = append(s.queue, eventlog.Item{Chunk: chunk})
		}
		if s.attached == nil || s.decoder != nil {
			s.queue = append(s.queue, eventlog.Item{Chunk: wire.LastChunk})
		}
	} else {
		s.unsent(s.queue)
		s.queue = nil
		if reason == ErrSlow && s.attached != nil {
			s.attached.abortLocked()
		}
	}
	s.wakeLocked()
	members := s.members
	s.members = nil
	s.mu.Unlock()
	for _, m := range members {
		m.group.remove(m, false)
		s.mu.Lock()
		m.leftLocked()
		s.mu.Unlock()
	}
}

// deadlineLocked returns when a client must have taken something of a write that
// begins now.
func (s *Stream) deadlineLocked(now time.Time) time.Time {
	var d time.Time
	if s.writeTimeout > 0 {
		d = now.Add(s.writeTimeout)
	}
	if by := s.opened.Add(s.drainBy); s.drainBy != 0 && (d.IsZero() || by.Before(d)) {
		d = by
	}
	return d
}

// ReconnectAfter returns when a client should reconnect to a server that has ended its
// stream, and may be restarting: not all clients at once, and not before it may be up
// again, since browsers give up for good when a proxy in front of it answers 502. The base
// is the reconnection time that the program chose, 0 for none.
func ReconnectAfter(base time.Duration) time.Duration {
	if base == 0 {
		base = time.Second
	}
	if most := math.MaxInt64 - 4*time.Second; base > most {
		base = most
	}
	return base + rand.N(4*time.Second)
}

// signalEnd wakes all that wait for the end: nothing is written any more.
func (s *Stream) signalEnd() {
	s.mu.Lock()
	s.ended = true
	s.unsent(s.queue)
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
