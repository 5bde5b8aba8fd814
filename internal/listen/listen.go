// Package listen has the listener whose connections streams can be detached from:
// it knows each of them, how much has been written to it, and which streams are
// still open. It knows nothing of what is written.
package listen

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/internal/poll"
)

// A Drain ends streams; see package stream.
type Drain interface {
	Start()
	WaitDetached(most time.Duration)
}

// A Listener is a listener that ends the streams on its connections when it is
// closed. After that Accept returns once those that are detached have ended, or
// when Patience is over: net/http's Server waits for it.
type Listener struct {
	net.Listener
	Drain    Drain
	Patience time.Duration

	closed atomic.Bool
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		if l.closed.Load() {
			l.Drain.WaitDetached(l.Patience)
		}
		return nil, err
	}
	return newConn(c, l), nil
}

// Close closes the listener and ends the streams on its connections. It does not
// wait for them.
func (l *Listener) Close() error {
	l.closed.Store(true)
	l.Drain.Start() // first, so that Accept knows which streams it waits for
	return l.Listener.Close()
}

// A Conn is a connection of a Listener.
type Conn struct {
	net.Conn
	listener *Listener
	local    net.Addr
	written  atomic.Int64
}

// conns finds a connection by its local address, which is one pointer for each:
// net/http puts that into the context of the connection's requests.
var conns sync.Map // of net.Addr to *Conn

func newConn(c net.Conn, l *Listener) *Conn {
	conn := &Conn{Conn: c, listener: l}
	switch a := c.LocalAddr().(type) {
	case *net.TCPAddr:
		own := *a
		conn.local = &own
	case *net.UnixAddr:
		own := *a
		conn.local = &own
	default:
		conn.local = &addr{a}
	}
	conns.Store(conn.local, conn)
	return conn
}

type addr struct{ net.Addr }

// Of returns the connection of a request, nil if no Listener has accepted it.
func Of(ctx context.Context) *Conn {
	if a, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr); ok && a != nil {
		if c, ok := conns.Load(a); ok {
			return c.(*Conn)
		}
	}
	return nil
}

// Listener returns the connection's listener.
func (c *Conn) Listener() *Listener { return c.listener }

// NetConn returns the connection below, as [crypto/tls.Conn.NetConn] does.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// Written returns how many bytes have been written to the connection.
func (c *Conn) Written() int64 { return c.written.Load() }

// Write writes to the connection.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// ReadFrom lets net/http use sendfile.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.Conn, r)
	c.written.Add(n)
	return n, err
}

// CloseWrite closes the writing side, if the connection can do that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetUserTimeout sets after what time a client that acknowledges nothing is taken for
// gone, for example because its network was cut. 0 leaves that to the system.
func (c *Conn) SetUserTimeout(d time.Duration) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = poll.SetUserTimeout(tcp, d) // without it, it is as with any other listener
	}
}

// Close closes the connection.
func (c *Conn) Close() error {
	conns.Delete(c.local)
	return c.Conn.Close()
}

// Detachable reports whether Detach can take connections of that kind over.
func (c *Conn) Detachable() bool { return poll.CanDetach(c.Conn) }

// Blocking reports whether reads of the connection cannot be interrupted.
func (c *Conn) Blocking() bool { return poll.Blocking(c.Conn) }

// Detach takes the connection over; see [poll.Detach]. If it returns no error, the
// connection must no longer be used.
func (c *Conn) Detach(userTimeout time.Duration) (poll.Socket, poll.Network, error) {
	socket, network, err := poll.Detach(c.Conn, userTimeout)
	if err == nil {
		conns.Delete(c.local)
	}
	return socket, network, err
}
