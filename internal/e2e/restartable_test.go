package e2e

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"example.org/sse"
)

// A restartable is a server that shuts down, and starts again on its port. It remembers
// where clients resumed.
type restartable struct {
	t       *testing.T
	handler http.Handler
	addr    string
	plain   bool // streams keep their handlers
	srv     *http.Server
	served  chan error

	mu      sync.Mutex
	resumed []string // values of Last-Event-ID
	conns   []net.Conn
}

func startRestartable(t *testing.T, handler http.Handler, plain bool) *restartable {
	t.Helper()
	s := &restartable{t: t, handler: handler, addr: "127.0.0.1:0", plain: plain}
	s.start()
	t.Cleanup(s.shutdown)
	return s
}

func (s *restartable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		s.mu.Lock()
		s.resumed = append(s.resumed, id)
		s.mu.Unlock()
	}
	s.handler.ServeHTTP(w, r)
}

func (s *restartable) start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if !s.plain {
		l = sse.Listener(l)
	}
	srv, served := &http.Server{Handler: s, ConnState: s.connState}, make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	s.srv, s.served = srv, served
}

func (s *restartable) connState(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
	}
}

// shutdown shuts the server down, which must not take longer than clients need to
// read.
func (s *restartable) shutdown() {
	s.t.Helper()
	if err := s.srv.Shutdown(s.t.Context()); err != nil && s.t.Context().Err() == nil {
		s.t.Error(err)
	}
	s.srv.Close() // at the test's end, when a client may have a connection in reserve
	<-s.served
}

// cut closes all connections, as a cut cable does, and the server runs on.
func (s *restartable) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *restartable) wantResumed(n int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resumed) != n {
		s.t.Errorf("clients resumed after %q, want %d", s.resumed, n)
	}
}
