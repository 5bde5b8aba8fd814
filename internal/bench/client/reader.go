//go:build linux

package client

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const request = "GET / HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n"

// A reader reads the HTTP/1.1 connections that are dealt to it, in one
// goroutine, which waits for all of them at once.
type reader struct {
	*tally
	epoll   int
	first   int // number of its first stream, for messages
	conns   []conn
	reading int     // conns that take part
	counts  []int32 // conns that have the event, by its number
	buffer  []byte
	current *conn
}

type conn struct {
	fd int
	Stream
	Order
	greeted bool
}

// Each reader connects so many clients, and pauses.
const (
	connectAtOnce = 16
	connectPause  = 8 * time.Millisecond
)

// newReader connects n clients.
func newReader(t *tally, addr netip.AddrPort, first, n int) (*reader, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r := &reader{
		tally:   t,
		epoll:   epoll,
		first:   first,
		conns:   make([]conn, n),
		reading: n,
		counts:  make([]int32, MaxEvents),
		buffer:  make([]byte, 64<<10),
	}
	for i := range r.conns {
		if i%connectAtOnce == 0 {
			time.Sleep(connectPause) // or what is measured is the memory of the rush: stacks of goroutines that are gone
		}
		fd, err := connect(addr, 0, request)
		if err != nil {
			return nil, fmt.Errorf("client %d of %d: %w", first+i, first+n, err)
		}
		r.conns[i].fd = fd
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, err
		}
		// What the kernel keeps for us is the connection's number here.
		e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// connect sends a request. The receive buffer is the kernel's choice if it is 0.
func connect(addr netip.AddrPort, buffer int, request string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if buffer > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return 0, err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return 0, err
	}
	_, err = unix.Write(fd, []byte(request))
	return fd, err
}

// stall connects a client that reads the head of the answer and then nothing.
func stall(addr netip.AddrPort) error {
	fd, err := connect(addr, 4<<10, request)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 512))
	if err != nil {
		return fmt.Errorf("a client that is to stall gets no head: %w", err)
	}
	return nil
}

// run reads until there is nothing to read from any more.
func (r *reader) run() {
	deliver := r.deliver
	ready := make([]unix.EpollEvent, 512)
	for r.reading > 0 {
		n, err := unix.EpollWait(r.epoll, ready, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			r.fail(err)
			return
		}
		for _, e := range ready[:n] {
			r.read(&r.conns[e.Fd], deliver)
		}
	}
}

func (r *reader) read(c *conn, deliver func(int)) {
	n, err := unix.Read(c.fd, r.buffer)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0:
		r.close(c)
		return
	}
	r.current = c
	if err := c.Feed(r.buffer[:n], deliver); err != nil {
		r.fail(fmt.Errorf("client %d: %w", r.number(c), err))
		r.close(c)
		return
	}
	if c.Ended() {
		r.close(c)
	}
}

func (r *reader) close(c *conn) {
	unix.Close(c.fd) //nolint:errcheck // nothing is left to do for it
	r.reading--
	r.end(c.Ended())
}

func (r *reader) deliver(event int) {
	c := r.current
	if event >= MaxEvents || !c.Next(event) {
		r.misorder(r.number(c), &c.Order, event)
		return
	}
	if !c.greeted {
		c.greeted = true
		r.greet()
	}
	if event == 0 {
		return
	}
	if r.counts[event]++; int(r.counts[event]) == len(r.conns) {
		r.have(event)
	}
}

func (r *reader) number(c *conn) int {
	for i := range r.conns {
		if &r.conns[i] == c {
			return r.first + i
		}
	}
	return -1
}
