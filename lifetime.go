package sse

import (
	"math/rand/v2"
	"time"

	"example.org/sse/internal/stream"
)

// expired reports whether a stream that begins now is too late.
func (o *AcceptOptions) expired(now time.Time) bool {
	return !o.Expires.IsZero() && !now.Before(o.Expires)
}

// expire ends the source when its time has come. Until then it costs a timer.
func (s *EventSource) expire(o *AcceptOptions) {
	if o.Expires.IsZero() && o.MaxAge <= 0 {
		return
	}
	after := century
	if o.MaxAge > 0 {
		after = o.MaxAge - rand.N(o.MaxAge/4+1)
	}
	end := func() { s.end(ErrMaxAge, Event{}) }
	if rest := time.Until(o.Expires); !o.Expires.IsZero() && rest <= after {
		after, end = rest, func() { s.end(ErrExpired, o.ExpiredEvent) }
	}
	timer := time.AfterFunc(after, end)
	s.stream.OnEnd(func() { timer.Stop() })
}

// end ends the source with a last event, unless that is the zero one, and a time after
// which its client should reconnect.
func (s *EventSource) end(reason error, last Event) {
	s.stream.End(reason, lastChunk(last, stream.ReconnectAfter(s.stream.Retry())))
}
