package sse

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"example.org/sse/internal/poll"
)

// Detach lets the stream go on without its handler, which can return: what is
// left is about 1 KiB of memory, and no goroutine. It is the handler's last
// statement, since nothing may use the ResponseWriter, or the request's context,
// after it. A deferred [EventSource.Close] of the same handler then does nothing,
// so that the two go together, as a database's Rollback and Commit do.
//
// Where a stream cannot do without its handler, Detach is [EventSource.Wait]:
// over TLS, HTTP/2 or HTTP/1.0, with a Content-Encoding, behind middleware that
// hides the connection, on a connection that is no TCP socket, and on other
// systems than Linux. [ReadStats] and the debug log, [log/slog.Debug], tell why.
//
// It returns nil for a stream that goes on, and else why the stream has ended.
func (s *EventSource) Detach() error {
	if !s.accepted() {
		return ErrClosed
	}
	a, d := s.way()
	if d != nil {
		return s.Err()
	}
	if o := a.obstacle(); o != noObstacle {
		o.tell(s)
		return s.Wait()
	}
	a.detaching.Store(true)
	a.parked.Store(true)
	if !a.turn.claim() { // then from whoever is writing
		if _, ok := <-a.wake; !ok {
			return s.Wait()
		}
	}
	a.detaching.Store(false)
	s.mu.Lock()
	live := a.unwatch() && s.reason == nil
	s.mu.Unlock()
	if !live {
		a.run()
		return s.Wait()
	}
	conn, _, err := a.control.Hijack() // what the client has sent is of no use
	if err != nil {
		noHijack.tell(s)
		a.watch()
		a.run()
		return s.Wait()
	}
	socket, network, err := poll.Detach(conn, s.writeTimeout)
	if err != nil {
		noSocket.tell(s)
		return a.stay(conn)
	}
	return s.detach(socket, network)
}

// detach makes the socket the source's way to its client. The caller has the
// turn to write.
func (s *EventSource) detach(socket poll.Socket, network poll.Network) error {
	s.mu.Lock()
	a, d := s.attached, &s.out
	*d = detached{source: s, socket: socket, open: true, handler: goroutine(), wrote: time.Since(s.opened)}
	err := d.join(network)
	if err == nil {
		s.attached, s.detached = nil, d
		if s.reason != nil && graceful(s.reason) { // just now, and nothing was written since
			s.queue = append(s.queue, item{chunk: lastChunk})
		}
	}
	s.mu.Unlock()
	if err != nil {
		d.socket.Close(true)
		s.shut(fmt.Errorf("%w: %w", ErrGone, err))
		a.finish()
		return s.Err()
	}
	streams.attached.Add(-1)
	streams.detached.Add(1)
	close(a.wake) // of others in Wait; the turn is not given back
	d.nudge()
	return s.Err()
}

// goroutine returns the number of the calling goroutine, with which a stack trace
// begins; no two have the same. It is there to recognize a handler's deferred
// Close, and for nothing else.
func goroutine() (n uint64) {
	var trace [64]byte
	line := strings.TrimPrefix(string(trace[:runtime.Stack(trace[:], false)]), "goroutine ")
	number, _, _ := strings.Cut(line, " ")
	n, _ = strconv.ParseUint(number, 10, 64)
	return n
}

// obstacle returns what keeps the stream from being detached, as far as that
// can be told before the connection is taken over.
func (a *attached) obstacle() obstacle {
	switch {
	case !poll.Supported:
		return notLinux
	case a.r.TLS != nil:
		return overTLS
	case a.r.ProtoMajor != 1:
		return overHTTP2
	case !a.r.ProtoAtLeast(1, 1):
		return overHTTP10
	case a.w.Header().Get("Content-Encoding") != "":
		return encoded
	}
	return noObstacle
}

// stay has the handler wait after all, for a stream over a connection that has
// been taken over from net/http already.
func (a *attached) stay(conn net.Conn) error {
	s := a.source
	w := hijacked{conn}
	s.mu.Lock()
	a.w, a.control = w, http.NewResponseController(w)
	s.mu.Unlock()
	a.watch()
	a.run()
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _ = io.Copy(io.Discard, conn)
		s.end(ErrGone) // does nothing if it is we who have closed it
	}()
	err := s.Wait()
	if graceful(err) {
		_, _ = conn.Write(lastChunk) // with the deadline that finish has set
	}
	_ = conn.Close()
	<-left
	return err
}

// hijacked is the ResponseWriter of a connection that is not net/http's any more.
type hijacked struct{ net.Conn }

func (h hijacked) Header() http.Header { return nil }
func (h hijacked) WriteHeader(int)     {}
func (h hijacked) Flush()              {}
func (h hijacked) Write(p []byte) (int, error) {
	if _, err := h.Conn.Write(newChunk(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
