// Package poll writes to connections without waiting for them, and reports when a
// connection can take more or has ended. It is the only package that makes system
// calls itself, and that has to know that the number of a closed descriptor is soon
// another connection's. It knows nothing of what is written.
package poll

import (
	"errors"
	"net"
	"time"
)

// A Socket is a connection that nobody waits for: a descriptor of our own, or a
// connection in memory. It is a value, since there are many. Its methods must not
// be called at the same time, and none after Close.
type Socket struct {
	fd     int32
	epoll  int32 // the poller's, 0 without one
	memory Memory
}

// Memory is implemented by connections that are not descriptors.
type Memory interface {
	Write(p []byte) (int, error)
	Discard(most int) (int, error)
	CloseWrite() error
	Close(abort bool) error
}

// InMemory returns a Socket of a connection in memory.
func InMemory(m Memory) Socket { return Socket{memory: m} }

// Memory returns the connection in memory, nil for a descriptor.
func (s *Socket) Memory() Memory { return s.memory }

// Write writes as much of p as the connection takes at once. It is no error if
// that is less than all: a Poller then reports when more can be written.
func (s *Socket) Write(p []byte) (int, error) {
	if s.memory != nil {
		return s.memory.Write(p)
	}
	return s.write(p)
}

// Discard throws away up to most bytes of what the other end has sent; if it
// returns most, there may be more. At the end it returns [io.EOF].
func (s *Socket) Discard(most int) (int, error) {
	if s.memory != nil {
		return s.memory.Discard(most)
	}
	return s.discard(most)
}

// CloseWrite ends the stream of bytes to the other end.
func (s *Socket) CloseWrite() error {
	if s.memory != nil {
		return s.memory.CloseWrite()
	}
	return s.closeWrite()
}

// Close ends the connection. What was written is still sent, unless abort.
func (s *Socket) Close(abort bool) error {
	if s.memory != nil {
		return s.memory.Close(abort)
	}
	return s.close(abort)
}

// A Poller reports what happens to its sockets. Wait may be called by one
// goroutine at a time, and the other methods by any.
type Poller interface {
	// Add adds a socket under a token. A socket leaves its poller when it is
	// closed; events that were on their way may still be reported. For a socket
	// that was added before, the present state is reported again.
	Add(s *Socket, token uint64) error

	// Wait fills in events and returns how many. It waits for the first until
	// Interrupt is called or the time has come.
	Wait(events []Event, until time.Time) (int, error)

	// Interrupt lets the present or the next Wait return without an event.
	Interrupt()

	// Close frees the poller's resources, once no goroutine is in Wait and all of
	// its sockets are closed.
	Close() error
}

// An Event reports what may have happened to a socket since the last event for it.
// A state is reported when it begins, and not again.
type Event struct {
	Token    uint64
	Readable bool // the other end has sent something, or has ended
	Writable bool // more can be written
	Ended    bool // the other end has closed the connection, or it is broken
}

// A Network is where pollers and sockets belong together.
type Network interface {
	NewPoller() (Poller, error)
}

// A Detachable connection can be made a Socket. If it returns no error, the
// connection itself must no longer be used.
type Detachable interface {
	Detach() (Socket, Network, error)
}

// CanDetach reports whether [Detach] takes connections of that kind over.
func CanDetach(c net.Conn) bool {
	switch c.(type) {
	case *net.TCPConn:
		return Supported
	case Detachable:
		return true
	}
	return false
}

// Blocking reports whether the connection's descriptor is blocking, as it is after the
// program has called Fd of its File. Then a goroutine that reads cannot be interrupted.
func Blocking(c net.Conn) bool {
	tcp, ok := c.(*net.TCPConn)
	return ok && blocking(tcp)
}

// Detach takes a connection over, if it is a *[net.TCPConn], on Linux, or
// [Detachable]; else the error is [errors.ErrUnsupported]. A connection that
// was taken over must no longer be used; another can be used as before.
//
// A TCP client that acknowledges nothing for the given time is taken for gone; 0
// leaves that to the system.
func Detach(c net.Conn, userTimeout time.Duration) (Socket, Network, error) {
	switch c := c.(type) {
	case *net.TCPConn:
		return detachTCP(c, userTimeout)
	case Detachable:
		return c.Detach()
	}
	return Socket{}, nil, errors.ErrUnsupported
}
