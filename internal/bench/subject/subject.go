//go:build linux

// Package subject has the servers that are measured: this library, the bare
// limit, and what else Go programs send events with. Each is set up the way
// its documentation recommends, without replay, and with buffers that hold all
// events that are ever in flight at once.
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
	Base  bool // an older version of it, to compare with
	HTTP2 bool // without TLS, known to both sides beforehand
	start func(net.Listener) (Server, error)
}

// A Server sends each event to all of its clients.
type Server interface {
	// Dispatch sends an event with that data, and may wait for the clients.
	Dispatch(data string) error

	// Shutdown ends all streams and then the server, as the subject's
	// documentation tells, or as people do where it tells nothing.
	Shutdown(ctx context.Context) error
}

// Limit is the name of the subject that all others are compared with.
const Limit = "loop"

// All are the subjects, in the order of the tables.
var All = []Subject{
	{Name: Limit, start: startLoop},
	{Name: "detached", Ours: true, start: startDetached},
	{Name: "attached", Ours: true, start: startAttached},
	{Name: "h2c", Ours: true, HTTP2: true, start: startH2C},
	{Name: "naive", start: startNaive},
	{Name: "go-sse", start: startGoSSE},
	{Name: "r3labs", start: startR3labs},
	{Name: "launchdarkly", start: startLaunchdarkly},
	{Name: "donovanhide", start: startDonovanhide},
	{Name: "datastar", start: startDatastar},
	{Name: "centrifuge", start: startCentrifuge},
}

// Find returns the subject of that name.
func Find(name string) (Subject, error) {
	for _, s := range All {
		if s.Name == name {
			return s, nil
		}
		if s.Ours && s.Baseline().Name == name {
			return s.Baseline(), nil
		}
	}
	return Subject{}, fmt.Errorf("no subject is called %q; the subjects are %v", name, Names())
}

// Names returns the names of all subjects.
func Names() []string {
	var names []string
	for _, s := range All {
		names = append(names, s.Name)
	}
	return names
}

// Start serves on the listener, whatever is asked for.
func (s Subject) Start(l net.Listener) (Server, error) { return s.start(l) }

// baseSuffix ends the names of subjects of the older version.
const baseSuffix = " before"

// Baseline returns the subject as the older version of the library has it.
func (s Subject) Baseline() Subject {
	s.Name, s.Base = s.Name+baseSuffix, true
	return s
}

// A hosted server is a handler of net/http, as all are but the bare limit. What a
// subject needs for Shutdown is registered with it by RegisterOnShutdown.
type hosted struct {
	http.Server
	dispatch func(data string) error
}

// serve serves the handler on the listener.
func serve(l net.Listener, h http.Handler, dispatch func(string) error) *hosted {
	s := &hosted{dispatch: dispatch}
	s.Handler = h
	s.start(l)
	return s
}

func (s *hosted) start(l net.Listener) {
	s.ErrorLog = log.New(io.Discard, "", 0) // one of the rivals has a line for each stream that ends
	go s.Serve(l)                           //nolint:errcheck // the listener's end, which is Shutdown's doing; all else the clients notice
}

// Dispatch implements [Server].
func (s *hosted) Dispatch(data string) error { return s.dispatch(data) }
