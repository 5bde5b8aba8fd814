//go:build linux

package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"example.org/sse/internal/bench/machine"
)

// Return has n clients come back at once, as they do when a server has died, each
// with that last event id, or as a new one if it is empty. It returns how long
// after the first had asked each of them had the event of that number, and leaves
// the streams open until the process ends.
func Return(ctx context.Context, addr string, n int, lastEventID string, until int) ([]float64, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if err := machine.RaiseFileLimit(n + 100); err != nil {
		return nil, err
	}
	asked := request
	if lastEventID != "" {
		asked = request[:len(request)-len("\r\n")] + "Last-Event-ID: " + lastEventID + "\r\n\r\n"
	}
	took := make([]float64, n)
	began := machine.Monotonic()
	g, ctx := errgroup.WithContext(ctx)
	for i := range readers {
		mine := took[n*i/readers : n*(i+1)/readers]
		r, err := newReturn(to, asked, until, began, mine)
		if err != nil {
			return nil, err
		}
		g.Go(r.connect)
		g.Go(func() error { return r.run(ctx) })
	}
	return took, g.Wait()
}

// A returned reads the connections that are dealt to it in one goroutine, while
// another one makes them.
type returned struct {
	to      netip.AddrPort
	request string
	until   int
	began   int64
	epoll   int
	fds     []atomic.Int32
	streams []Stream
	took    []float64 // ns
	lacking int
}

func newReturn(to netip.AddrPort, request string, until int, began int64, took []float64) (*returned, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &returned{
		to: to, request: request, until: until, began: began, epoll: epoll,
		fds: make([]atomic.Int32, len(took)), streams: make([]Stream, len(took)), took: took, lacking: len(took),
	}, err
}

func (r *returned) connect() error {
	for i := range r.fds {
		fd, err := connect(r.to, 0, r.request)
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		r.fds[i].Store(int32(fd))
		e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
			return err
		}
	}
	return nil
}

// pollTimeout is in ms.
const pollTimeout = 1000

// run reads until all have the event.
func (r *returned) run(ctx context.Context) error {
	ready := make([]unix.EpollEvent, 512)
	buffer := make([]byte, 64<<10)
	for r.lacking > 0 {
		n, err := unix.EpollWait(r.epoll, ready, pollTimeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range ready[:max(n, 0)] {
			if err := r.read(int(e.Fd), buffer); err != nil {
				return fmt.Errorf("client %d: %w", e.Fd, err)
			}
		}
	}
	return nil
}

func (r *returned) read(i int, buffer []byte) error {
	n, err := unix.Read(int(r.fds[i].Load()), buffer)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the stream has ended")
	}
	return r.streams[i].Feed(buffer[:n], func(event int) {
		if event == r.until && r.took[i] == 0 {
			r.took[i] = float64(machine.Monotonic() - r.began)
			r.lacking--
		}
	})
}
