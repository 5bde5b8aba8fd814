package stream

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/poll"
	"example.org/sse/internal/wire"
)

// Serve serves the stream until it ends, or detaches it from the handler, which
// must return then.
func (s *Stream) Serve() {
	a, _ := s.way()
	if o := a.obstacle(); o != noObstacle {
		o.report(a.r)
		s.Wait()
		return
	}
	if !a.claimForDetach() {
		s.Wait()
		return
	}
	// From here on a shutdown waits for it, which has ended it already, or will.
	if s.drain != nil {
		s.drain.addDetached()
	}
	if !s.detach() {
		a.run()
		s.Wait()
		s.leaveDrain()
	}
}

// detach takes the connection over from net/http, and reports whether the stream no
// longer needs a handler that writes. The caller has the turn to write.
func (s *Stream) detach() bool {
	a := s.attached
	s.mu.Lock()
	live := a.unwatchLocked() && s.reason == nil
	s.mu.Unlock()
	if !live {
		return false
	}
	hijacked, err := hijack(a.w)
	if err != nil {
		noHijack.report(a.r)
		a.watch()
		return false
	}
	if hijacked == net.Conn(a.conn) {
		if socket, network, err := a.conn.Detach(s.writeTimeout); err == nil {
			s.setDetached(socket, network)
			return true
		}
	}
	noSocket.report(a.r) // or it is wrapped in a connection that may count, or throttle
	a.serveHijacked(hijacked)
	s.leaveDrain()
	return true
}

// hijack takes the connection over. What the client has sent is not used. Where a
// ResponseWriter refuses, as gin's does once the body has begun, the one inside is asked:
// by now the response's head has left it, and the turn to write is ours.
func hijack(w http.ResponseWriter) (conn net.Conn, err error) {
	for {
		if h, ok := w.(http.Hijacker); ok {
			if conn, _, err = h.Hijack(); err == nil {
				return conn, nil
			}
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil, errors.Join(err, errors.ErrUnsupported)
		}
		w = inner.Unwrap()
	}
}

// leaveDrain ends a shutdown's wait for the stream.
func (s *Stream) leaveDrain() {
	if s.drain != nil {
		s.drain.removeDetached()
	}
}

// claimForDetach gets the turn to write, and keeps it. It reports false if the
// stream has ended.
func (a *attached) claimForDetach() bool {
	a.detaching.Store(true)
	defer a.detaching.Store(false)
	a.parked.Store(true)
	if !a.turn.claim() { // then from the goroutine that is writing
		_, ok := <-a.wake
		return ok
	}
	return true
}

// setDetached makes the socket the stream's way to its client.
func (s *Stream) setDetached(socket poll.Socket, network poll.Network) {
	s.mu.Lock()
	a, d := s.attached, &s.own
	*d = detached{stream: s, socket: socket, open: true, wrote: time.Since(s.opened)}
	err := d.joinLocked(network)
	if err == nil {
		countDetached()
		s.attached = nil
		if s.reason != nil && graceful(s.reason) && s.decoder == nil { // just now, and nothing was written since
			s.queue = append(s.queue, eventlog.Item{Chunk: wire.LastChunk})
		}
	}
	s.mu.Unlock()
	if a.r.MultipartForm != nil {
		_ = a.r.MultipartForm.RemoveAll() // net/http forgets it with the connection
	}
	if err != nil {
		d.socket.Close(true)
		s.setReason(fmt.Errorf("%w: %w", ErrGone, err))
		a.finish()
		s.leaveDrain()
		return
	}
	close(a.wake) // of others in Wait; the turn is not given back
	d.nudge()
}

// obstacle returns what keeps the stream from being detached, as far as that is
// known before the connection is taken over.
func (a *attached) obstacle() obstacle {
	switch {
	case !poll.Supported:
		return notLinux
	case a.r.ProtoMajor == 3:
		return overHTTP3
	case a.r.ProtoMajor == 2:
		return overHTTP2
	case a.r.TLS != nil:
		return overTLS
	case !a.r.ProtoAtLeast(1, 1):
		return overHTTP10
	case a.conn == nil:
		return noListener
	case !a.conn.Detachable():
		return noSocket
	case a.conn.Blocking():
		return blocking // Hijack would wait for net/http's read, for ever
	case !a.encodedByUs():
		return encoded
	case a.conn.Written() == a.before:
		return heldBack // by a ResponseWriter that flushes later, or never
	}
	return noObstacle
}

// encodedByUs reports whether nothing else has encoded the response.
func (a *attached) encodedByUs() bool {
	encoding := a.w.Header().Get("Content-Encoding")
	return encoding == "" || a.stream.decoder != nil && encoding == a.stream.decoder.Coding().String()
}

// report counts and logs why a stream is not detached.
func (o obstacle) report(r *http.Request) {
	o.count()
	slog.Debug("sse: stream not detached", "reason", o.String(), "path", r.URL.Path)
}

// serveHijacked serves the stream, in its handler, over a connection that has been
// taken over from net/http.
func (a *attached) serveHijacked(conn net.Conn) {
	s := a.stream
	w := hijackedWriter{conn}
	s.mu.Lock()
	a.w, a.control = w, http.NewResponseController(w)
	s.mu.Unlock()
	a.watch()
	a.run()
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = io.Copy(io.Discard, conn)
		s.End(ErrGone) // does nothing if it is we who have closed it
	}()
	if graceful(s.Wait()) {
		_, _ = conn.Write(wire.LastChunk) // with the deadline that finish has set
	}
	_ = conn.Close()
	<-left
}

// A hijackedWriter is the ResponseWriter of a connection that no longer is
// net/http's.
type hijackedWriter struct{ net.Conn }

func (h hijackedWriter) Header() http.Header { return nil }
func (h hijackedWriter) WriteHeader(int)     {}
func (h hijackedWriter) Flush()              {}
func (h hijackedWriter) Write(p []byte) (int, error) {
	if _, err := h.Conn.Write(wire.NewChunk(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
