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
	end := func() { s.stream.End(ErrMaxAge, lastChunk(Event{}, o.reconnectAfter())) }
	if rest := time.Until(o.Expires); !o.Expires.IsZero() && rest <= after {
		after = rest
		end = func() { s.stream.End(ErrExpired, lastChunk(o.ExpiredEvent, o.reconnectAfter())) }
	}
	timer := time.AfterFunc(after, end)
	s.stream.OnEnd(func() { timer.Stop() })
}

func (o *AcceptOptions) reconnectAfter() time.Duration {
	return stream.ReconnectAfter(optional(o.Retry, 0))
}
