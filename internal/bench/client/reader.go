//go:build linux

package client

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// maxReaders is the number of goroutines that read HTTP/1.1 streams. A single one
// that is late delays half of the clients; more of them would fight over two cores.
const maxReaders = 2

// Each reader connects connectAtOnce clients and pauses. Without the pause the memory
// of the rush would be measured: stacks of goroutines that are gone.
const (
	connectAtOnce = 16
	connectPause  = 8 * time.Millisecond
)

// A reader reads its share of the streams in one goroutine, which waits for all of
// them at once.
type reader struct {
	*Clients
	epoll int
	first int // number of its first client
	conns []conn
	open  int
}

type conn struct {
	fd atomic.Int32
	feed
}

func (c *Clients) open(to netip.AddrPort) error {
	// A reader keeps its processor for a moment when it waits in the kernel. If the
	// goroutine that dispatches had to wait for that, events would be a third fewer.
	runtime.GOMAXPROCS(maxReaders + 2)
	var connecting errgroup.Group
	n := min(maxReaders, c.Streams)
	for i := range n {
		first, next := c.Streams*i/n, c.Streams*(i+1)/n
		epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return err
		}
		r := &reader{Clients: c, epoll: epoll, first: first, conns: make([]conn, next-first), open: next - first}
		for i := range r.conns {
			r.conns[i].fd.Store(-1)
		}
		c.readers = append(c.readers, r)
		connecting.Go(func() error { return r.connect(to) })
		c.running.Go(r.run)
	}
	err := connecting.Wait()
	for range c.Stalled {
		if err == nil {
			err = c.stall(to)
		}
	}
	return err
}

// connect connects the reader's clients.
func (r *reader) connect(to netip.AddrPort) error {
	for i := range r.conns {
		if i%connectAtOnce == 0 && !r.Rush {
			time.Sleep(connectPause) // see there
		}
		fd, err := r.dial(to, 0)
		if err != nil {
			return fmt.Errorf("client %d: %w", r.first+i, err)
		}
		r.conns[i].fd.Store(int32(fd))
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		// The kernel's note of the connection is its number here.
		e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
			return err
		}
	}
	return nil
}

// dial sends a request. If buffer is 0 the kernel chooses the receive buffer.
func (c *Clients) dial(to netip.AddrPort, buffer int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if buffer > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return 0, err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return 0, err
	}
	_, err = unix.Write(fd, []byte(c.request))
	return fd, err
}

// stall connects a client that reads the head of the response and then nothing.
func (c *Clients) stall(to netip.AddrPort) error {
	fd, err := c.dial(to, 4<<10)
	if err != nil {
		return err
	}
	c.stalled = append(c.stalled, fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return err
	}
	if _, err = unix.Read(fd, make([]byte, 512)); err != nil {
		return fmt.Errorf("a client that is to stall gets no head: %w", err)
	}
	return nil
}

const pollTimeout = 1000 // ms, after which a reader that was stopped notices

// run reads until all streams have ended.
func (r *reader) run() {
	ready := make([]unix.EpollEvent, 512)
	buffer := make([]byte, 64<<10)
	for r.open > 0 && r.ctx.Err() == nil {
		n, err := unix.EpollWait(r.epoll, ready, pollTimeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			r.fail(err)
			return
		}
		for _, e := range ready[:max(n, 0)] {
			r.read(int(e.Fd), buffer)
		}
	}
}

func (r *reader) read(i int, buffer []byte) {
	c := &r.conns[i]
	fd := int(c.fd.Load())
	n, err := unix.Read(fd, buffer)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err == nil && n > 0 && r.receive(&c.feed, r.first+i, buffer[:n]) == nil && !c.Ended() {
		return
	}
	unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, fd, nil) //nolint:errcheck // it is there
	unix.Shutdown(fd, unix.SHUT_RDWR)                   //nolint:errcheck // fails if the server has closed it
	r.open--
	r.end(c.Ended())
}
