package sse

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	defaultKeepAlive    = 30 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultBacklog      = 1 << 20
)

// AcceptOptions are the options of [Accept]. Nil is the same as the zero value.
type AcceptOptions struct {
	// KeepAlive is how long a stream may be silent before it is sent a comment,
	// which no client shows, but which keeps proxies from closing the stream
	// and finds clients that are gone. 0: 30 s, negative: never.
	KeepAlive time.Duration

	// WriteTimeout is how long a client may take for what it is sent. One that
	// takes longer is disconnected, with [ErrSlow]. It also replaces the
	// server's WriteTimeout, which would end every stream. 0: 10 s, negative:
	// for ever.
	WriteTimeout time.Duration

	// Backlog is how many bytes may wait for a client that is slower than the
	// events. Beyond it, [EventSource.Dispatch] waits for the client, and a
	// [Set] does what its Slow policy says; a set grants a client that still
	// reads, if slowly, four times as much. The first event that waits does
	// not count, so that one of any size can be sent. 0: 1 MiB.
	Backlog int

	// Retry is told to the client as its reconnection time, in milliseconds,
	// rounded up. 0: nothing is told, and browsers come back after 3 to 5 s.
	Retry time.Duration
}

// Accept answers the request with an event stream and returns its source.
//
// The response's head is sent at once, with a first comment, so that the
// browser's EventSource opens. Headers that were set before stay, other than
// those that would break the stream; Cache-Control and X-Accel-Buffering, if
// not set, tell proxies not to hold events back.
//
// GET and POST are accepted. A POST's body must be read before. HEAD gets the
// head of the response alone, and other methods a 405, OPTIONS a 204; in all
// these cases, and with a 500 if w has no way to flush, the request has been
// answered and the error is [ErrNotAccepted]. While the server is shutting
// down the error is [ErrShutdown], and the client has been told to come back.
// If the client has left already it is [ErrGone]. A handler has nothing left
// to do but return:
//
//	source, err := sse.Accept(w, r, nil)
//	if err != nil {
//		return
//	}
//	defer source.Close()
//
// A browser comes back whenever a stream ends. One that is complete says so by
// an event, at which the page closes its EventSource.
//
// The handler must not return before it has called [EventSource.Close],
// [EventSource.Wait] or [EventSource.Detach]: until then the source may be
// writing to w, which belongs to the next request once the handler is gone.
func Accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions) (*EventSource, error) {
	if err := acceptable(w, r); err != nil {
		return nil, err
	}
	if o == nil {
		o = new(AcceptOptions)
	}
	s := &EventSource{
		url:          r.URL.String(),
		lastEventID:  lastEventID(r),
		opened:       time.Now(),
		keepAlive:    orDefault(o.KeepAlive, defaultKeepAlive),
		writeTimeout: orDefault(o.WriteTimeout, defaultWriteTimeout),
		backlog:      defaultBacklog,
		retry:        max(o.Retry, 0),
	}
	if o.Backlog > 0 {
		s.backlog = o.Backlog
	}
	a := attach(s, w, r)
	setHead(w.Header())
	w.WriteHeader(http.StatusOK)
	head := []item{{chunk: comment}}
	if s.retry > 0 {
		head = append(head, item{chunk: newChunk(retryBlock(s.retry))})
	}
	a.turn.claim()
	s.mu.Lock()
	if err := a.flush(&batch{items: head}); err != nil {
		s.shut(err)
		a.finish()
		return nil, err
	}
	s.open(r)
	a.hand()
	if s.ReadyState() == Closed { // the server is shutting down
		return nil, s.Wait()
	}
	return s, nil
}

// acceptable answers a request that gets no stream.
func acceptable(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodPost:
	case http.MethodHead:
		setHead(w.Header())
		w.WriteHeader(http.StatusOK)
		return fmt.Errorf("%w: HEAD gets no body", ErrNotAccepted)
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS, POST")
		w.WriteHeader(http.StatusNoContent)
		return fmt.Errorf("%w: OPTIONS gets no body", ErrNotAccepted)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS, POST")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return fmt.Errorf("%w: method %.20q", ErrNotAccepted, r.Method)
	}
	if !canFlush(w) {
		http.Error(w, "Streaming unsupported: a ResponseWriter around the server's has neither Flush nor Unwrap.", http.StatusInternalServerError)
		return fmt.Errorf("%w: %T has neither Flush nor Unwrap: %w", ErrNotAccepted, w, errors.ErrUnsupported)
	}
	return nil
}

// canFlush reports whether a [http.ResponseController] can flush w, without
// doing it: afterwards it would be too late for an error.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// setHead sets the headers of an event stream.
func setHead(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	setDefault(h, "Cache-Control", "no-cache, no-transform") // compressing proxies hold events back
	setDefault(h, "X-Accel-Buffering", "no")                 // so does nginx, all of them
	// The server's own business. Keep-Alive would reach an HTTP/2 client, where
	// it is forbidden; a Content-Length would cut the stream.
	for _, name := range []string{"Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding"} {
		h.Del(name)
	}
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// lastEventID returns what the client says it has seen last. A browser's own
// reconnection sends the header; one that a script makes, as htmx 2 does after
// an error, can only use the URL.
func lastEventID(r *http.Request) string {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("lastEventId")
	}
	return strings.Clone(id) // and not a part of the request, which is not kept
}

// open makes the source known to all that may end it.
func (s *EventSource) open(r *http.Request) {
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv != nil {
		s.drain = servingDrainOf(srv)
		if !s.drain.add(s) {
			s.end(ErrShutdown)
			return
		}
	}
	s.attached.watch()
}
