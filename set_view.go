package sse

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"example.org/sse/internal/stream"
	"example.org/sse/internal/wire"
)

// markEvery is the time between two events that bring a member an id and nothing else.
const markEvery = 10 * time.Second

var errView = errors.New("sse: view failed")

// AddFunc is [Set.Add] for a member with a view of its own: view is called with each
// event of the set, those that the source missed included, and returns what the source
// is sent instead, or false for nothing. It may change an event's type, data and
// reconnection time; the id stays, so that the client resumes as any other, and
// nothing that it may not see is ever sent to it. The event is as it was dispatched,
// but with its id, LF for each line end, and a type "message" left out.
//
// A client that is sent nothing for a long time gets an event of the type
// "last-event-id" with an id and no data, at most every 10 s: else it could not resume
// once the last event that it was sent is no longer kept. Ids show how many events
// the log has got, not what they are.
//
// Views are called without a lock held, for each member and event, by the goroutine
// that delivers to all members. So a view should be fast, and must not wait for an
// event or for the end of the source. Compared with a set that sends each event to all
// members as it is, a member costs the call and, if the event is changed, its encoding
// and a copy. If the view panics, or returns an event that cannot be sent, the source's
// stream ends, and no other. A Snapshot is not passed through the view.
//
// The policy LatestPerKey is not for views: for a member that has one it is CloseSlow.
func (s *Set) AddFunc(source *EventSource, view func(Event) (Event, bool)) bool {
	s.init()
	every := markEvery
	if s.log.Age > 0 {
		every = min(every, s.log.Age/4)
	}
	return s.add(source, nil, &stream.View{
		Event:     func(c wire.Chunk) (wire.Chunk, error) { return s.see(c, view) },
		Mark:      mark,
		MarkEvery: every,
	})
}

// see returns an event as the view has it.
func (s *Set) see(c wire.Chunk, view func(Event) (Event, bool)) (own wire.Chunk, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("sse: view panicked; stream ended", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: it panicked: %v", errView, p)
		}
	}()
	e := s.decoded.event(c)
	seen, ok := view(e)
	if !ok {
		return nil, nil
	}
	if seen.ID = e.ID; seen == e {
		return c, nil
	}
	if own, err = seen.chunk(); err != nil {
		err = fmt.Errorf("%w: %w", errView, err)
	}
	return own, err
}

// decoded is the event that was decoded last: most members look at the same one.
type decoded struct{ last atomic.Pointer[decodedEvent] }

type decodedEvent struct {
	chunk wire.Chunk
	event Event
}

func (d *decoded) event(c wire.Chunk) Event {
	if last := d.last.Load(); last != nil && &last.chunk[0] == &c[0] {
		return last.event
	}
	e := Event(wire.Decode(c.Block()))
	d.last.Store(&decodedEvent{c, e})
	return e
}

// mark returns an event that has the id of another and nothing else, nil if that has no
// id.
func mark(c wire.Chunk) wire.Chunk {
	id := wire.Decode(c.Block()).ID
	if id == "" {
		return nil
	}
	return wire.Event{Type: idType, ID: id}.Chunk()
}
