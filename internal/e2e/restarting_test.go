package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"example.org/sse"
)

// A restarting server is behind a tap, and is replaced without a moment when nobody
// listens. At /events it has detached streams; any other request gets its path and body.
type restarting struct {
	group sse.Set
	tap   *tap

	conns   chan net.Conn
	current *http.Server
	served  chan error
}

func startRestarting(t *testing.T) *restarting {
	t.Helper()
	s := &restarting{conns: make(chan net.Conn)}
	s.group.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return []sse.Event{{Data: "snapshot"}}, nil }
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepting := make(chan bool)
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
		}
	}()
	s.start(l.Addr())
	t.Cleanup(func() {
		l.Close()
		<-accepting
		s.shutDown(t, s.current, s.served)
	})
	s.tap = startTap(t, l.Addr().String())
	return s
}

func (s *restarting) start(addr net.Addr) {
	srv, served := &http.Server{Handler: s}, make(chan error, 1)
	l := sse.Listener(&share{addr: addr, conns: s.conns, closed: make(chan bool)})
	go func() { served <- srv.Serve(l) }()
	s.current, s.served = srv, served
}

func (s *restarting) shutDown(t *testing.T, srv *http.Server, served <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

func (s *restarting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/events" {
		s.group.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, r.URL.Path)
	w.Write(body)
}

// A share is the listener of one server of several, which take turns: the connections
// arrive at another one.
type share struct {
	addr   net.Addr
	conns  <-chan net.Conn
	closed chan bool
}

func (s *share) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *share) Addr() net.Addr { return s.addr }

// Close is called once, by the server.
func (s *share) Close() error {
	close(s.closed)
	return nil
}

// open opens streams, and waits until all are detached and have got the snapshot.
func (s *restarting) open(t *testing.T, client *http.Client, origin string, n int) []*stream {
	t.Helper()
	streams := openStreams(t, client, origin+"/events", n)
	for i, stream := range streams {
		if !stream.sees("data: snapshot") {
			t.Fatalf("stream %d: no snapshot, error %v", i, stream.lines.Err())
		}
	}
	eventually(t, soon, func() string {
		if stats := sse.ReadStats(); stats.Detached != n || stats.Attached > 0 {
			return fmt.Sprintf("%+v, want %d detached", stats, n)
		}
		return ""
	})
	return streams
}

func (s *restarting) closeAll(t *testing.T, streams []*stream) {
	s.group.CloseAll()
	wantEnds(t, streams)
}

func (s *restarting) leaveAll(_ *testing.T, streams []*stream) {
	for _, stream := range streams {
		stream.Close()
	}
}

// restart starts another server, and shuts this one down.
func (s *restarting) restart(t *testing.T, streams []*stream) {
	t.Helper()
	old, served := s.current, s.served
	s.start(nil)
	s.shutDown(t, old, served)
	wantRetries(t, streams)
}
