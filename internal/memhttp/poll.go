package memhttp

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"example.org/sse/internal/poll"
)

// Detach makes the connection a socket of its listener's network.
func (c *conn) Detach() (poll.Socket, poll.Network, error) {
	if c.network == nil {
		return poll.Socket{}, nil, syscall.EINVAL
	}
	return poll.InMemory(&socket{conn: c}), c.network, nil
}

// A socket is a connection that is used without waiting.
type socket struct {
	*conn
	leave func()
}

func (s *socket) Write(p []byte) (int, error) { return s.out.try(p) }

func (s *socket) Discard(most int) (int, error) { return s.in.discard(most) }

func (s *socket) Close(bool) error {
	if s.leave != nil {
		s.leave()
	}
	return s.conn.Close()
}

// try writes as much as there is room for.
func (f *flow) try(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return 0, net.ErrClosed
	case f.refused:
		return 0, syscall.EPIPE
	}
	n := min(f.size-len(f.buf), len(p))
	f.buf = append(f.buf, p[:n]...)
	f.change()
	return n, nil
}

// discard throws away up to most bytes.
func (f *flow) discard(most int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.buf), most)
	f.buf = f.buf[n:]
	if n == 0 && f.ended {
		return 0, io.EOF
	}
	f.change()
	return n, nil
}

// NewPoller returns a poller of detached connections.
func (l *Listener) NewPoller() (poll.Poller, error) {
	p := &poller{events: make(map[uint64]poll.Event)}
	p.changed.L = &p.mu
	return p, nil
}

type poller struct {
	mu          sync.Mutex
	changed     sync.Cond // of all below
	events      map[uint64]poll.Event
	interrupted bool
	passed      bool // the time of the present Wait
}

func (p *poller) Add(s *poll.Socket, token uint64) error {
	m := s.Memory().(*socket)
	tell := func(told poll.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		e := p.events[token]
		p.events[token] = poll.Event{
			Token:    token,
			Readable: e.Readable || told.Readable,
			Writable: e.Writable || told.Writable,
			Ended:    e.Ended || told.Ended,
		}
		p.changed.Broadcast()
	}
	in := func() {
		if m.in.ended || len(m.in.buf) > 0 {
			tell(poll.Event{Readable: true, Ended: m.in.ended})
		}
	}
	out := func() {
		if m.out.refused || len(m.out.buf) < m.out.size {
			tell(poll.Event{Writable: true, Ended: m.out.refused})
		}
	}
	m.in.watch(in)
	m.out.watch(out)
	m.leave = func() {
		m.in.watch(nil)
		m.out.watch(nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.events, token)
	}
	return nil
}

func (p *poller) Wait(events []poll.Event, until time.Time) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed = false
	if !until.IsZero() {
		timer := time.AfterFunc(time.Until(until), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.passed = true
			p.changed.Broadcast()
		})
		defer timer.Stop()
	}
	for len(p.events) == 0 && !p.interrupted && !p.passed {
		p.changed.Wait()
	}
	p.interrupted = false
	for token, e := range p.events {
		if n == len(events) {
			break
		}
		events[n] = e
		n++
		delete(p.events, token)
	}
	return n, nil
}

func (p *poller) Interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interrupted = true
	p.changed.Broadcast()
}

func (p *poller) Close() error { return nil }

// watch calls f now and whenever something changes, with the flow's mu held, until
// watch is called with nil.
func (f *flow) watch(watcher func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watcher = watcher
	f.change()
}

// change wakes all that wait for a change. The caller holds f.mu.
func (f *flow) change() {
	f.changed.Broadcast()
	if f.watcher != nil {
		f.watcher()
	}
}
