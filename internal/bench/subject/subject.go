//go:build linux

// Package subject has the servers that are measured: this library, the bare limit,
// and other packages that Go programs send events with. Each is set up as its
// documentation recommends, without replay, and with buffers that hold all events
// that are ever in flight at once.
package subject

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

// A Subject is a way to send events to many clients.
type Subject struct {
	Name  string
	Ours  bool // this library
	HTTP2 bool // without TLS, known to both sides beforehand
	Start func(net.Listener) (Server, error)
}

// A Server sends each event to all of its clients.
type Server interface {
	// Dispatch sends an event with that data. It may wait for the clients.
	Dispatch(data string) error

	// Shutdown ends all streams and then the server, as the subject's documentation
	// recommends.
	Shutdown(ctx context.Context) error
}

// Limit is the name of the subject that all others are compared with.
const Limit = "loop"

// All are the subjects, in the order of the tables.
var All = []Subject{
	{Name: Limit, Start: startLoop},
	{Name: "detached", Ours: true, Start: startDetached},
	{Name: "attached", Ours: true, Start: startAttached},
	{Name: "h2c", Ours: true, HTTP2: true, Start: startH2C},
	{Name: "naive", Start: startNaive},
	{Name: "go-sse", Start: startGoSSE},
	{Name: "r3labs", Start: startR3labs},
	{Name: "launchdarkly", Start: startLaunchdarkly},
	{Name: "donovanhide", Start: startDonovanhide},
	{Name: "datastar", Start: startDatastar},
	{Name: "centrifuge", Start: startCentrifuge},
}

// Find returns the subject of that name.
func Find(name string) (Subject, error) {
	for _, s := range All {
		if s.Name == name {
			return s, nil
		}
	}
	return Subject{}, fmt.Errorf("unknown subject %q; the subjects are %v", name, Names())
}

// Names returns the names of all subjects.
func Names() (names []string) {
	for _, s := range All {
		names = append(names, s.Name)
	}
	return names
}

// A hosted server is a handler of net/http, as all are except the bare limit. What a
// subject needs for Shutdown is registered with RegisterOnShutdown.
type hosted struct {
	http.Server
	dispatch func(data string) error
}

// serve serves the handler on the listener, over HTTP/1.1 unless protocols are given.
func serve(l net.Listener, h http.Handler, dispatch func(string) error, protocols *http.Protocols) *hosted {
	s := &hosted{dispatch: dispatch}
	s.Handler, s.Protocols = h, protocols
	s.ErrorLog = log.New(io.Discard, "", 0) // one of the rivals logs a line for each stream that ends
	go s.Serve(l)                           //nolint:errcheck // Shutdown closes the listener; the clients notice everything else
	return s
}

// Dispatch implements [Server].
func (s *hosted) Dispatch(data string) error { return s.dispatch(data) }
