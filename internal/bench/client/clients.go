//go:build linux

// Package client plays all clients of a server. It opens the streams, checks that
// each of them gets every event once and in order, and records when half of them and
// when the last of them had it. It must be cheap, since it shares the machine with
// the server that is measured.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"example.org/sse/internal/bench/process"
)

// MaxEvents is the number of events that Clients can keep account of.
const MaxEvents = 1 << 18

// Options say which streams to open.
type Options struct {
	Streams     int
	Stalled     int    // more clients, which read nothing after the head
	HTTP2       bool   // without TLS
	LastEventID string // if not empty
	Rush        bool   // connect as fast as possible
}

// Clients are all clients of a server.
type Clients struct {
	Options
	request string
	readers []*reader // of HTTP/1.1 streams
	stalled []int     // their descriptors
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	changed chan struct{} // holds a token after a change of what follows

	counts     []atomic.Int32 // streams that have an event, by its number
	half, last []int64        // when half of the streams, or all, had it; valid up to complete
	greeted    atomic.Int64
	complete   atomic.Int64
	ended      atomic.Int64
	clean      atomic.Int64
	lastEnd    atomic.Int64
	fault      atomic.Pointer[error] // the first one
}

// Progress is what the clients that read have received.
type Progress struct {
	Greeted  int // streams with at least one event
	Complete int // the last event that all of them have
	Ended    int // streams
}

// Open opens all streams.
func Open(ctx context.Context, addr string, o Options) (*Clients, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if err := process.RaiseFileLimit(o.Streams + o.Stalled + 100); err != nil {
		return nil, err
	}
	c := &Clients{
		Options: o,
		request: "GET / HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n",
		changed: make(chan struct{}, 1),
		counts:  make([]atomic.Int32, MaxEvents),
		half:    make([]int64, MaxEvents),
		last:    make([]int64, MaxEvents),
	}
	if o.LastEventID != "" {
		c.request = c.request[:len(c.request)-2] + "Last-Event-ID: " + o.LastEventID + "\r\n\r\n"
	}
	c.ctx, c.stop = context.WithCancel(ctx)
	if o.HTTP2 {
		err = c.openHTTP2(addr)
	} else {
		err = c.open(to)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes all streams.
func (c *Clients) Close() {
	c.stop()
	for _, r := range c.readers {
		for i := range r.conns {
			unix.Shutdown(int(r.conns[i].fd.Load()), unix.SHUT_RDWR) //nolint:errcheck // wakes the reader, if that still runs
		}
	}
	c.running.Wait()
	for _, r := range c.readers {
		for i := range r.conns {
			c.stalled = append(c.stalled, int(r.conns[i].fd.Load()))
		}
		c.stalled = append(c.stalled, r.epoll)
	}
	for _, fd := range c.stalled {
		unix.Close(fd) //nolint:errcheck // nothing is left to do for it
	}
}

// Wait waits until the clients have received enough. It fails if a client received
// what it should not have, and with [process.ErrHangs] if nothing has changed for as
// long as patience.
func (c *Clients) Wait(patience time.Duration, enough func(Progress) bool) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		if fault := c.fault.Load(); fault != nil {
			return *fault
		}
		if enough(Progress{Greeted: int(c.greeted.Load()), Complete: int(c.complete.Load()), Ended: int(c.ended.Load())}) {
			return nil
		}
		select {
		case <-c.changed:
			timeout.Reset(patience)
		case <-timeout.C:
			return process.ErrHangs
		}
	}
}

// Half returns when half of the streams had the event, on the monotonic clock.
func (c *Clients) Half(event int) int64 { return c.half[event] }

// Last returns when the last of the streams had the event.
func (c *Clients) Last(event int) int64 { return c.last[event] }

// Ended returns how many streams ended with a last chunk, or END_STREAM, and when the
// last of all streams ended.
func (c *Clients) Ended() (clean int, last int64) { return int(c.clean.Load()), c.lastEnd.Load() }

func (c *Clients) change() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// A feed is what one client has received.
type feed struct {
	Stream
	next int // the event to come, 0: any
}

// receive decodes what a client has received.
func (c *Clients) receive(f *feed, client int, p []byte) error {
	var wrong error
	err := f.Feed(p, func(event int) {
		switch {
		case wrong != nil:
			return
		case f.next == 0:
			c.greeted.Add(1)
			c.change()
		case event == 0 && f.next == 1:
		case event != f.next:
			wrong = fmt.Errorf("event %d came when it was %d's turn", event, f.next)
			return
		}
		if event >= MaxEvents {
			wrong = fmt.Errorf("more than %d events", MaxEvents)
			return
		}
		f.next = event + 1
		if event == 0 {
			return
		}
		n := int(c.counts[event].Add(1))
		if n == (c.Streams+1)/2 {
			c.half[event] = process.Monotonic()
		}
		if n == c.Streams {
			c.last[event] = process.Monotonic()
			c.complete.Store(int64(event))
			c.change()
		}
	})
	if err = errors.Join(err, wrong); err != nil {
		c.fail(fmt.Errorf("client %d: %w", client, err))
	}
	return err
}

func (c *Clients) fail(err error) {
	c.fault.CompareAndSwap(nil, &err)
	c.change()
}

func (c *Clients) end(clean bool) {
	if clean {
		c.clean.Add(1)
	}
	c.lastEnd.Store(process.Monotonic())
	c.ended.Add(1)
	c.change()
}
