package sse

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
	"weak"

	"example.org/sse/internal/listen"
	"example.org/sse/internal/stream"
)

// shutdownTimeout is how long ServeListener waits for requests in progress: longer
// than the streams take, shorter than what usually sends the signal is willing to
// wait.
const shutdownTimeout = 2 * stream.DrainTimeout

// ListenAndServe serves until ctx is done or the process gets a SIGTERM or an
// interrupt, and then shuts the server down: it accepts no more connections,
// ends the streams, and waits for requests in progress, for 10 seconds at most;
// spare connections, which browsers open, are closed. A second signal ends the
// process at once.
//
// It listens at srv.Addr, with [Listener], and serves TLS if srv.TLSConfig has a
// certificate. Limits and gauges that count connections or handlers do not count
// detached streams; see there. It returns nil after a complete shutdown, the error of
// [http.Server.Shutdown] after an incomplete one, or an error of listening. It and
// [ServeListener] are the only functions of this package that handle signals; a program
// that calls srv.Shutdown itself does not need them.
func ListenAndServe(ctx context.Context, srv *http.Server) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM) // before anybody can connect
	defer stop()
	l, err := net.Listen("tcp", address(srv))
	if err != nil {
		return err
	}
	return serveUntil(ctx, stop, srv, l)
}

// ServeListener is [ListenAndServe] with a listener that the program has opened or was
// given, for example by systemd. It does not use srv.Addr, and closes the listener.
func ServeListener(ctx context.Context, srv *http.Server, l net.Listener) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return serveUntil(ctx, stop, srv, l)
}

// serveUntil serves until ctx is done, and then shuts the server down. It calls stop when
// signals are no longer to be caught.
func serveUntil(ctx context.Context, stop func(), srv *http.Server, l net.Listener) error {
	var spare spareConns
	spare.watch(srv)
	served := make(chan error, 1)
	go func() { served <- serve(srv, Listener(l)) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop() // from here on a signal does what it does by default
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	closing, done := context.WithCancel(grace)
	var running sync.WaitGroup
	running.Go(func() { spare.close(closing) })
	err := srv.Shutdown(grace)
	done()
	running.Wait()
	if err != nil {
		srv.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		return e
	}
	return err
}

func address(srv *http.Server) string {
	switch {
	case srv.Addr != "":
		return srv.Addr
	case hasCertificate(srv):
		return ":https"
	}
	return ":http"
}

func serve(srv *http.Server, l net.Listener) error {
	if hasCertificate(srv) {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}

func hasCertificate(srv *http.Server) bool {
	c := srv.TLSConfig
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}

// Listener returns a listener for [http.Server.Serve] that accepts connections from
// l, and enables what the package can do only if it knows the connections:
//
//   - Streams of [Serve] are detached from their handlers; see the package comment.
//   - [http.Server.Shutdown] waits for detached streams as well.
//   - A client that acknowledges nothing for the stream's write timeout, for example
//     because its network was cut, is disconnected (on Linux). On other listeners
//     the system takes a quarter of an hour to notice.
//
// A detached stream is no longer a connection or a request of the server's: ConnState
// reports http.StateHijacked for it, and no StateClosed, and its handler has returned
// through all middleware. So what counts in these places does not count detached streams:
// a limit of connections per address, chi's Throttle, the gauge of requests in flight of
// promhttp. [ReadStats] counts them, and a [Limit] limits them.
//
// Closing the listener, as Shutdown and Close of an http.Server do, ends the streams
// on its connections. After that its Accept returns, and so Shutdown or Close, once
// the detached streams have ended, after 5 s at most.
//
// A listener around it must not limit or count connections by what they transfer:
// streams on connections that are wrapped are not detached. A connection that it
// accepts has the method NetConn, which returns that of l. If l is from Listener itself,
// it is returned.
func Listener(l net.Listener) net.Listener {
	if own, ok := l.(*listen.Listener); ok {
		return own
	}
	return &listen.Listener{Listener: l, Drain: new(stream.Drain), Patience: stream.DrainTimeout}
}

// drains are those of servers with other listeners, for as long as a server exists.
var drains sync.Map // of weak.Pointer[http.Server] to *stream.Drain

// drainOf returns the drain that ends the streams of the request's listener or
// server, nil if it has neither. A server is known from its first stream on. If that
// begins when the server is shutting down already, nothing ends it, unless the
// server has a Listener.
func drainOf(r *http.Request) *stream.Drain {
	if conn := listen.Of(r.Context()); conn != nil {
		return conn.Listener().Drain.(*stream.Drain)
	}
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || srv == nil {
		return nil
	}
	key := weak.Make(srv)
	if d, ok := drains.Load(key); ok {
		return d.(*stream.Drain)
	}
	d, known := drains.LoadOrStore(key, new(stream.Drain))
	if !known {
		srv.RegisterOnShutdown(d.(*stream.Drain).Start)
		runtime.AddCleanup(srv, func(key weak.Pointer[http.Server]) { drains.Delete(key) }, key)
	}
	return d.(*stream.Drain)
}

// spareAge is how old a connection without a request must be to be closed at a
// shutdown: the request of a younger one may be on its way.
const spareAge = 500 * time.Millisecond

// spareConns are connections on which no request has come. Browsers open them in
// reserve, and [http.Server.Shutdown] waits for each until it is five seconds old.
type spareConns struct {
	mu     sync.Mutex
	opened map[net.Conn]time.Time
}

// watch adds to the server's ConnState hook. It must be called before the server
// serves.
func (s *spareConns) watch(srv *http.Server) {
	s.opened = make(map[net.Conn]time.Time)
	hook := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		s.mu.Lock()
		if state == http.StateNew {
			s.opened[c] = time.Now()
		} else {
			delete(s.opened, c)
		}
		s.mu.Unlock()
		if hook != nil {
			hook(c, state)
		}
	}
}

// close closes spare connections as they get old enough, until the context is done.
func (s *spareConns) close(ctx context.Context) {
	tick := time.NewTicker(spareAge / 5)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for c, opened := range s.opened {
			if time.Since(opened) >= spareAge {
				c.Close() //nolint:errcheck // its goroutine finds out, and takes it out
			}
		}
		s.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
