package ssetest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

const (
	// memoryBuffer is the size of a memory connection's buffer in each direction,
	// and of an HTTP/2 client's buffer for a stream. It is small, so that writes
	// to a client that reads nothing soon block.
	memoryBuffer = 16 << 10

	// socketBuffer limits the kernel's buffer for a connection, which is several
	// megabytes by default. With a much smaller one TCP itself stalls on the
	// loopback interface, whose packets have 64 KiB.
	socketBuffer = 256 << 10

	// memoryHost is the host of servers in memory. The domain .test is reserved.
	memoryHost = "memory.test"

	// closeGrace is how long Close waits for streams to end by themselves, and then
	// again after it has cut the remaining ones.
	closeGrace = time.Second

	// stallGrace is how long Close waits for streams that the test has stalled. By
	// then the server has ended all of its streams.
	stallGrace = closeGrace / 10
)

// A Server serves a handler to a test's clients, as [net/http/httptest.Server]
// does, but can be closed while streams are open. Its methods may be called from
// any goroutine, except those that take a [testing.TB], which must be called from
// the test's goroutine.
type Server struct {
	// URL is the server's base URL, without a trailing slash. The URL of a server
	// in memory only works with the server's own clients.
	URL string

	// HTTP2 makes clients that are created from now on use HTTP/2, without TLS,
	// instead of HTTP/1.1. The server accepts both. HTTP2 must not be changed while
	// a method runs.
	HTTP2 bool

	base    *url.URL
	http    *http.Server
	served  chan struct{} // closed when http no longer accepts connections
	dial    func(context.Context) (net.Conn, error)
	closing sync.Once

	mu          sync.Mutex
	clients     [2]*http.Client          // for HTTP/1.1 and HTTP/2
	conns       map[*conn]struct{}       // of all clients, including streams
	connections map[*connection]struct{} // of streams
	handlers    int                      // the number of running handlers
	idle        chan struct{}            // closed when the server is idle; nil if no goroutine waits
}

// NewServer starts a server for handler on a port of the loopback interface. It
// panics if it cannot listen. The caller must close the server.
func NewServer(handler http.Handler) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp6", "[::1]:0"); err != nil {
			panic(fmt.Sprintf("ssetest: cannot listen on a loopback port: %v", err))
		}
	}
	address := l.Addr().String()
	return serve(handler, address, sse.Listener(listener{l}), func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})
}

// NewMemoryServer starts a server for handler on connections in memory, which
// work in a [testing/synctest] bubble. Only the server's own clients can connect.
// The caller must close the server, in the same bubble.
func NewMemoryServer(handler http.Handler) *Server {
	l := memhttp.Listen(memoryBuffer)
	return serve(handler, memoryHost, sse.Listener(l), l.Dial)
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
		_ = s.http.Serve(l) // returns when it is closed
	}()
	return s
}

// A listener sets small buffers on its connections.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(socketBuffer) // without it, the buffer is larger
	}
	return c, err
}

// Client returns a client that connects to the server, whatever the URL's host.
// It is for requests that are not streams, and for an [sse.Client]:
//
//	client := sse.Client{URL: server.URL + "/events", HTTPClient: server.Client()}
//
// Client returns the same client each time, unless HTTP2 was changed.
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

// transport returns a new transport, which shares no connections.
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

// A conn is the client's end of a connection.
type conn struct {
	net.Conn
	server    *Server
	transport *http.Transport
}

func (c *conn) Close() error {
	c.server.change(func() { delete(c.server.conns, c) })
	return c.Conn.Close()
}

// disconnect closes the connections of t, or all connections if t is nil.
func (s *Server) disconnect(t *http.Transport) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		if t == nil || c.transport == t {
			_ = c.Close() // nothing more is sent
		}
	}
}

// cut ends the stalled streams, or all streams, at their clients' end.
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

// Close shuts the server down as a program would, by [http.Server.Shutdown]: each
// stream receives the events that were dispatched before, and ends cleanly. When
// Close returns, all events that were sent have been recorded, all connections of
// the server's clients are closed, and its handlers have returned.
//
// Close takes some milliseconds, or 100 ms if the test has stalled streams, which
// it cuts. If a client has not read its response after 1 s, or a handler has not
// returned, Close closes their connections, which cancels the contexts of their
// requests. Close does not wait for a handler that has not returned after one
// more second. Later calls only wait for the first one to finish.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.closeIdle()
		defer time.AfterFunc(stallGrace, func() { s.cut(false) }).Stop()
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		cut := func() {
			s.cut(true) // before disconnect, so that streams end with errServerClosed
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

// closeIdle closes idle connections of the clients. The server might otherwise
// wait for them, as if a request were on its way.
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

// change calls f with mu held, and reports to wait if the server is idle then.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	if s.idle != nil && s.isIdleLocked() {
		close(s.idle)
		s.idle = nil
	}
}

// isIdleLocked reports whether there are no connections and no running handlers.
func (s *Server) isIdleLocked() bool { return len(s.conns)+len(s.connections)+s.handlers == 0 }

// wait waits until the server is idle or ctx is done.
func (s *Server) wait(ctx context.Context) {
	s.mu.Lock()
	if s.isIdleLocked() {
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
