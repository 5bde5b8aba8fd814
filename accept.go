package sse

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"example.org/sse/internal/listen"
	"example.org/sse/internal/poll"
)

const (
	// maxURL and maxLastEventID are how much is kept of a request.
	maxURL         = 8 << 10
	maxLastEventID = 4 << 10
)

// Accept answers the request with an event stream and returns its source. It is for
// handlers that write to the stream themselves; see [Serve] for streams that others
// write to.
//
//	source, err := sse.Accept(w, r, nil)
//	if err != nil {
//		return // the request has been answered
//	}
//	defer source.Close()
//
// The response's head is sent at once, with a first comment, so that the
// browser's EventSource opens. Headers that were set before stay, except those
// that would break the stream; Cache-Control and X-Accel-Buffering, if not set,
// ask proxies not to hold events back.
//
// GET and POST are accepted. A POST's body must be read before. HEAD gets the
// head of the response alone, and other methods a 405, OPTIONS a 204; in all
// these cases, and with a 500 if w has no way to flush, the request has been
// answered and the error is [ErrNotAccepted]. A second call for the same request
// fails with that error as well, and the first stream goes on. The handler must
// not have written to the body before, which Accept cannot detect. While the
// server is shutting down the error is [ErrShutdown], and the client has been
// asked to reconnect. If the client has left already it is [ErrGone]. [AcceptOptions]
// can refuse requests, with [ErrLimited] and [ErrExpired].
//
// A browser reconnects whenever a stream ends. To end one for good, dispatch an
// event at which the page closes its EventSource.
//
// A shutdown ends the stream, but not the request's context, and then waits for the
// handler. A handler that waits for something other than the stream, such as a model's
// next token, should do that with [EventSource.Context].
//
// The handler must not return before it has called [EventSource.Close] or
// [EventSource.Wait]: until then the source may be writing to w, which belongs to
// the next request once the handler is gone.
func Accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions) (*EventSource, error) {
	return accept(w, r, o, false)
}

// Serve answers the request with an event stream, calls f with its source, and
// serves the stream until it ends. It is for streams that others write to: sets,
// hubs, timers.
//
//	sse.Serve(w, r, nil, func(source *sse.EventSource) { group.Add(source) })
//
// Serve must be the last thing that a handler does. It returns when the stream has
// ended or, if the stream can be detached from its handler, at once; see the
// package comment. So f should return soon, and nothing may use w, or the request's
// context, after Serve. If f panics the stream ends, and the panic continues.
//
// A request that [Accept] would not accept is answered as Accept answers it, and f
// is not called.
func Serve(w http.ResponseWriter, r *http.Request, o *AcceptOptions, f func(*EventSource)) {
	source, err := accept(w, r, o, true)
	if err != nil {
		return // answered
	}
	source.setUp(f)
	source.stream.Serve()
}

// setUp calls f, and ends the stream if f does not return.
func (s *EventSource) setUp(f func(*EventSource)) {
	returned := false
	defer func() {
		if !returned {
			s.Close()
		}
	}()
	f(s)
	returned = true
}

var noOptions AcceptOptions

// accept is Accept, for a stream that may be detached or not.
func accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions, detachable bool) (*EventSource, error) {
	if o == nil {
		o = &noOptions
	}
	if err := o.acceptable(w, r); err != nil {
		return nil, err
	}
	if answered(w.Header()) {
		return nil, fmt.Errorf("%w: the request has got a stream already", ErrNotAccepted)
	}
	options := o.stream()
	admitted, refusal := o.admit(r, &options)
	began := false
	defer func() {
		if !began { // w may panic
			admitted.free()
		}
	}()
	conn, drain := listen.Of(r.Context()), drainOf(r)
	setHead(w.Header())
	options.Coding = o.negotiate(w.Header(), r)
	if detachable && conn != nil && poll.Supported && r.ProtoMajor == 1 && r.TLS == nil {
		w.Header().Set("Connection", "close") // it will not carry another request
	}
	s := &EventSource{
		url:         cut(r.URL.String(), maxURL),
		lastEventID: cut(lastEventID(r), maxLastEventID),
	}
	s.stream.Owner = s
	if err := s.stream.Open(w, r, options, conn, drain); err != nil {
		if refusal != nil && errors.Is(refusal, err) {
			err = refusal // which says more
		}
		return nil, err
	}
	began = true
	admitted.begin(s)
	s.expire(o)
	return s, nil
}

// cut returns the beginning of a string, and not as a part of the request, which is
// not kept.
func cut(s string, most int) string { return strings.Clone(s[:min(len(s), most)]) }

// acceptable answers a request that gets no stream.
func (o *AcceptOptions) acceptable(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodPost:
	case http.MethodHead:
		setHead(w.Header())
		o.negotiate(w.Header(), r)
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
	if o.CrossOrigin != nil && !sameOrigin(w, r, o.CrossOrigin) {
		return fmt.Errorf("%w: cross-origin request", ErrNotAccepted)
	}
	return o.checkEvents(w)
}

// sameOrigin reports whether a protection lets a request of an unsafe method pass. If
// not, it has answered the request.
func sameOrigin(w http.ResponseWriter, r *http.Request, p *http.CrossOriginProtection) (passed bool) {
	unsafe := *r
	unsafe.Method = http.MethodPost
	p.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(w, &unsafe)
	return passed
}

// checkEvents answers a request if an event of the options cannot be sent.
func (o *AcceptOptions) checkEvents(w http.ResponseWriter) error {
	err := o.ExpiredEvent.check()
	for _, l := range o.Limits {
		err = cmp.Or(err, l.Event.check())
	}
	if err == nil {
		return nil
	}
	http.Error(w, "The options of the stream have an event that cannot be sent.", http.StatusInternalServerError)
	return fmt.Errorf("%w: AcceptOptions: %w", ErrNotAccepted, err)
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

// contentType is the value of all event streams, by which a response that is one is
// recognized.
var contentType = []string{"text/event-stream"}

// answered reports whether the headers are those of a response that is a stream.
func answered(h http.Header) bool {
	v := h["Content-Type"]
	return len(v) == 1 && &v[0] == &contentType[0]
}

// setHead sets the headers of an event stream.
func setHead(h http.Header) {
	h["Content-Type"] = contentType
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

// lastEventID returns the id of the last event that the client has seen. A
// browser's own reconnection sends the header; one that a script makes, as htmx 2
// does after an error, can only use the URL.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("lastEventId")
}
