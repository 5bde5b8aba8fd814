package ssetest

import (
	"context"
	"example.org/sse"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"example.org/sse/internal/memhttp"
)

const (
	// memoryBuffer is what a connection in memory buffers in each direction, and
	// an HTTP/2 client for a stream: little, so that a client that reads nothing
	// is soon one that takes nothing.
	memoryBuffer = 16 << 10

	// socketBuffer is what the kernel may hold for a connection, instead of
	// megabytes. With much less TCP itself stalls on the loopback interface,
	// whose packets are of 64 KiB.
	socketBuffer = 256 << 10

	// memoryHost is that of servers in memory. Nobody else can have it.
	memoryHost = "memory.test"

	// closeGrace is how long Close waits for streams to end by themselves, and
	// then for what does not.
	closeGrace = time.Second

	// stallGrace is how long it waits for streams that the test has stalled. By
	// then the server has told all streams to end.
	stallGrace = closeGrace / 10
)

// A Server serves a handler to a test's clients, as [net/http/httptest.Server]
// does, but can be closed while streams are open. Its methods may be called from
// any goroutine, other than those with a [testing.TB], which are for the test's
// own.
type Server struct {
	// URL is where the handler is, without a slash at the end. That of a server
	// in memory means something to its own clients alone.
	URL string

	// HTTP2 has the clients that are made from now on speak HTTP/2, without TLS,
	// instead of HTTP/1.1. The server speaks both. It must not be changed while a
	// method runs.
	HTTP2 bool

	base    *url.URL
	http    *http.Server
	served  chan struct{} // closed when http has stopped accepting
	dial    func(context.Context) (net.Conn, error)
	closing sync.Once

	mu          sync.Mutex
	clients     [2]*http.Client          // over HTTP/1.1, and HTTP/2
	conns       map[*conn]struct{}       // of all clients, those of connections too
	connections map[*connection]struct{} // of streams
	handlers    int                      // that run
	idle        chan struct{}            // closed when there is none of all these; nil if nobody waits
}

// NewServer serves a handler on a port of the loopback interface. It panics if
// it cannot listen. The server must be closed.
func NewServer(handler http.Handler) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp6", "[::1]:0"); err != nil {
			panic(fmt.Sprintf("ssetest: no port to listen on: %v", err))
		}
	}
	address := l.Addr().String()
	return serve(handler, address, listener{l}, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})
}

// NewMemoryServer serves a handler over connections in memory, which works in a
// [testing/synctest] bubble. Only the server's own clients reach it. It must be
// closed, in the same bubble.
func NewMemoryServer(handler http.Handler) *Server {
	l := memhttp.Listen(memoryBuffer)
	return serve(handler, memoryHost, l, l.Dial)
}

func serve(handler http.Handler, host string, l net.Listener, dial func(context.Context) (net.Conn, error)) *Server {
	if handler == nil {
		handler = http.DefaultServeMux // as net/http does
	}
	base := &url.URL{Scheme: "http", Host: host}
	s := &Server{
		URL:         base.String(),
		base:        base,
		http:        &http.Server{Protocols: new(http.Protocols)},
		served:      make(chan struct{}),
		dial:        dial,
		conns:       make(map[*conn]struct{}),
		connections: make(map[*connection]struct{}),
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.change(func() { s.handlers++ })
		defer s.change(func() { s.handlers-- })
		handler.ServeHTTP(w, r)
	})
	go func() {
		defer close(s.served)
		_ = s.http.Serve(sse.Listener(l)) // until it is closed
	}()
	return s
}

// A listener gives its connections small buffers.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(socketBuffer) // at worst it is larger
	}
	return c, err
}

// Client returns a client all of whose connections are to the server, whatever
// the URL's host, for requests that are no streams, and for an [sse.Client]:
//
//	client := sse.Client{URL: server.URL + "/events", HTTPClient: server.Client()}
//
// It is the same one at each call, unless HTTP2 was changed.
func (s *Server) Client() *http.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.clients[0]
	if s.HTTP2 {
		c = &s.clients[1]
	}
	if *c == nil {
		*c = &http.Client{Transport: s.transport()}
	}
	return *c
}

// transport returns a transport with connections of its own.
func (s *Server) transport() *http.Transport {
	t := &http.Transport{
		Protocols: memhttp.Protocols(s.HTTP2),
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerStream: memoryBuffer},
	}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := s.dial(ctx)
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, server: s, transport: t}
		s.change(func() { s.conns[c] = struct{}{} })
		return c, nil
	}
	return t
}

// A conn is a client's end of a connection.
type conn struct {
	net.Conn
	server    *Server
	transport *http.Transport
}

func (c *conn) Close() error {
	c.server.change(func() { delete(c.server.conns, c) })
	return c.Conn.Close()
}

// disconnect closes the connections of a transport, or of all for nil.
func (s *Server) disconnect(t *http.Transport) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		if t == nil || c.transport == t {
			_ = c.Close() // nothing is sent any more
		}
	}
}

// cut ends streams from their clients' end, those that are stalled or all.
func (s *Server) cut(all bool) {
	s.mu.Lock()
	connections := slices.Collect(maps.Keys(s.connections))
	s.mu.Unlock()
	for _, c := range connections {
		if all || c.isStalled() {
			c.cancel(errServerClosed)
		}
	}
}

// Close shuts the server down as a program would, by [sse.Shutdown]: each stream
// is sent what was dispatched before, and ends cleanly. When Close returns,
// whatever was sent has been recorded, all connections of the server's clients
// are closed, and its handlers have returned.
//
// It takes some milliseconds, or a tenth of a second if the test has stalled
// streams, which it cuts. Should after a second some other client not have read
// its response, or a handler not have returned, their connections are closed,
// which ends their requests' contexts. A handler that has still not returned
// one more second later is left behind. Further calls do nothing but wait for
// the first.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.closeIdle()
		defer time.AfterFunc(stallGrace, func() { s.cut(false) }).Stop()
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		cut := func() {
			s.cut(true) // first, so that their ends tell who it was
			s.disconnect(nil)
		}
		// Shutdown waits for detached streams, however long the context is.
		defer time.AfterFunc(closeGrace, cut).Stop()
		_ = s.http.Shutdown(ctx)
		s.wait(ctx)
		cut()
		s.http.Close()
		ctx, cancel = context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		s.wait(ctx)
		<-s.served
	})
}

// closeIdle closes those of the clients' connections that wait for a request,
// which the server might take for ones whose request is on its way.
func (s *Server) closeIdle() {
	s.mu.Lock()
	clients := s.clients
	s.mu.Unlock()
	for _, c := range clients {
		if c != nil {
			c.CloseIdleConnections()
		}
	}
}

// change changes what mu guards.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	if s.idle != nil && s.isIdle() {
		close(s.idle)
		s.idle = nil
	}
}

// isIdle reports whether nothing goes on. The caller holds s.mu.
func (s *Server) isIdle() bool { return len(s.conns)+len(s.connections)+s.handlers == 0 }

// wait waits until nothing goes on, or ctx is done.
func (s *Server) wait(ctx context.Context) {
	s.mu.Lock()
	if s.isIdle() {
		s.mu.Unlock()
		return
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
