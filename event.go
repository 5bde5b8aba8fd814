package sse

import (
	"fmt"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// An Event is one message of a stream: the browser hands it to its listeners as a
// MessageEvent.
//
// Whatever its fields hold, an event arrives as exactly one event. What could
// break it in two is an error, [ErrInvalidEvent], or is encoded so that it
// cannot; see the fields.
type Event struct {
	// Type is the name that a client listens to. Empty, it is "message", as in
	// the browser, and no event line is sent. Control bytes (below 0x20, and
	// 0x7F) are an error.
	Type string

	// Data is the payload: text, HTML, JSON. It may have any number of lines;
	// CR, LF and CRLF each become one line end, LF at the client, and nothing
	// else changes. An event always has data, if only the empty string.
	Data string

	// ID becomes the client's last event ID, which it sends back when it
	// reconnects. Empty, it is left out, or given by the [Set] that the event
	// is dispatched to if that keeps a history. Control bytes, and spaces at
	// the ends, are an error: no client would send them back unchanged.
	ID string

	// Retry sets the client's reconnection time, from now on. It is sent in
	// whole milliseconds, rounded up. 0 leaves it out, a negative one is an
	// error.
	Retry time.Duration
}

// check returns an [ErrInvalidEvent] for an event that cannot be sent.
func (e Event) check() error {
	if err := wire.Event(e).Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidEvent, err)
	}
	return nil
}

// chunk returns the event as it is sent to one client.
func (e Event) chunk() (wire.Chunk, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return wire.Event(e).Chunk(), nil
}

// last returns the event as it is sent to a client whose stream ends, after check. The
// zero Event is none.
func (e Event) last() []wire.Chunk {
	if e == (Event{}) {
		return nil
	}
	return []wire.Chunk{wire.Event(e).Chunk()}
}

// encode returns the event as it is appended to a log.
func (e Event) encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return wire.Event(e).Encode(eventlog.Headroom), nil
}
