package sse

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"weak"
)

// drainGrace is how long ListenAndServe waits for requests that are being
// answered: longer than the streams take, shorter than what usually sends the
// signal is willing to wait.
const drainGrace = 2 * drainTimeout

// ListenAndServe serves until ctx is done or the process gets a SIGTERM or an
// interrupt, and then shuts the server down: it takes no more connections,
// ends the streams, and waits for what is being answered, for 10 seconds at
// most; connections that a browser has opened in reserve are closed. A second signal ends the process at once.
//
// It serves TLS if srv.TLSConfig has a certificate. It returns nil after a
// complete shutdown, the error of [http.Server.Shutdown] after another, or
// that of listening. It is the only function of this package that touches
// signals; a program that has its own way to call srv.Shutdown does not need
// it.
func ListenAndServe(ctx context.Context, srv *http.Server) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	drainOf(srv)
	var spare spares
	spare.watch(srv)
	served := make(chan error, 1)
	go func() { served <- listenAndServe(srv) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop() // from here on a signal does what it does by default
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainGrace)
	defer cancel()
	closing, done := context.WithCancel(grace)
	var running sync.WaitGroup
	running.Go(func() { spare.close(closing) })
	err := Shutdown(grace, srv)
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

// Shutdown is srv.Shutdown, which ends all streams of the server, and then waits
// for those that [EventSource.Detach] has detached, too: srv.Shutdown does not
// know them. A program that ends after srv.Shutdown alone may cut them short. If
// ctx is done before, its error is returned.
func Shutdown(ctx context.Context, srv *http.Server) error {
	d, _ := drainOf(srv)
	err := srv.Shutdown(ctx)
	d.start() // if it has not begun yet
	return errors.Join(err, d.wait(ctx))
}

func listenAndServe(srv *http.Server) error {
	if c := srv.TLSConfig; c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil) {
		return srv.ListenAndServeTLS("", "")
	}
	return srv.ListenAndServe()
}

// A drain ends the streams of one server when that shuts down.
type drain struct {
	mu      sync.Mutex
	over    bool
	sources []*EventSource
	empty   chan struct{} // closed when there is none; nil if nobody waits
}

// drains finds the drain of a server, for as long as the server exists.
var drains sync.Map // of weak.Pointer[http.Server] to *drain

// drainOf returns the server's drain, and whether it was made and registered
// just now.
func drainOf(srv *http.Server) (d *drain, made bool) {
	key := weak.Make(srv)
	found, ok := drains.Load(key)
	if !ok {
		found, ok = drains.LoadOrStore(key, new(drain))
	}
	d = found.(*drain)
	if !ok {
		srv.RegisterOnShutdown(d.start)
		runtime.AddCleanup(srv, func(key weak.Pointer[http.Server]) { drains.Delete(key) }, key)
	}
	return d, !ok
}

// servingDrainOf returns the drain of a server that is answering a request.
func servingDrainOf(srv *http.Server) *drain {
	d, made := drainOf(srv)
	if made && isShutDown(srv) {
		d.start() // it was too late to register
	}
	return d
}

// isShutDown asks a server that is serving whether it is shutting down, in the
// one way that net/http offers: such a server refuses to serve. (One that does
// not serve yet must not be asked: it would take this for the time to set up
// its protocols.) One with a BaseContext is not asked either, since that would
// be called with a listener that it does not know; the streams of such a server
// do not end by themselves if the first of them all begins during the shutdown.
func isShutDown(srv *http.Server) bool {
	return srv.BaseContext == nil && errors.Is(srv.Serve(noListener{}), http.ErrServerClosed)
}

// A noListener has no connections.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.TCPAddr{} }

// add takes the source in. It reports whether the server still takes streams.
func (d *drain) add(s *EventSource) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		s.drainAt = -1
		return false
	}
	s.drainAt = len(d.sources)
	d.sources = append(d.sources, s)
	return true
}

func (d *drain) remove(s *EventSource) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.drainAt < 0 {
		return
	}
	last := len(d.sources) - 1
	d.sources[s.drainAt] = d.sources[last]
	d.sources[s.drainAt].drainAt = s.drainAt
	d.sources[last] = nil
	if d.sources = d.sources[:last]; last > 0 {
		return
	}
	d.sources = nil // a slice does not shrink by itself
	if d.empty != nil {
		close(d.empty)
		d.empty = nil
	}
}

// start ends all streams. It waits for none.
func (d *drain) start() {
	d.mu.Lock()
	d.over = true
	sources := slices.Clone(d.sources)
	d.mu.Unlock()
	for _, s := range sources {
		s.end(ErrShutdown)
	}
}

// wait waits until there are no streams.
func (d *drain) wait(ctx context.Context) error {
	d.mu.Lock()
	if len(d.sources) == 0 {
		d.mu.Unlock()
		return nil
	}
	if d.empty == nil {
		d.empty = make(chan struct{})
	}
	empty := d.empty
	d.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
