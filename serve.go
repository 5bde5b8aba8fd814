package sse

import (
	"net"
	"net/http"
)

// Serve answers the request with an event stream, calls f with its source, and
// serves the stream until it ends. It is for streams that others write to: sets,
// hubs, timers. Package comment and [Accept] say what is sent and when no stream
// begins; then f is not called.
//
//	sse.Serve(w, r, nil, func(source *sse.EventSource) { group.Add(source) })
//
// Serve must be the last thing that a handler does. It returns when the stream
// has ended, or at once where the connection can be detached from its handler.
// If f panics the stream ends, and the panic goes on.
func Serve(w http.ResponseWriter, r *http.Request, o *AcceptOptions, f func(*EventSource)) {
	source, err := Accept(w, r, o)
	if err != nil {
		return // answered
	}
	defer source.Close()
	f(source)
	source.Detach() //nolint:errcheck // the source knows
}

// Listener returns a listener whose connections can be detached.
func Listener(l net.Listener) net.Listener { return l }
