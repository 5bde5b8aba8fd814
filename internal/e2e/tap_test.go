package e2e

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A tap passes on what a proxy and a server send each other, and counts what no proxy's
// log shows.
type tap struct {
	addr   string
	server string

	reused atomic.Int64 // connections of streams that were sent another request
	closed atomic.Int64 // other connections that the server closed
}

// startTap starts a tap in front of a server. It stops when the test ends.
func startTap(t *testing.T, server string) *tap {
	t.Helper()
	p := &tap{server: server}
	p.addr = relay(t, p.connect)
	return p
}

// relay calls connect for each connection to an address, which it returns, until the test
// ends.
func relay(t *testing.T, connect func(*net.TCPConn)) (addr string) {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { connect(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

// connect connects a proxy's connection with the server, until both have closed theirs.
func (p *tap) connect(proxy *net.TCPConn) {
	defer proxy.Close()
	c, err := net.Dial("tcp", p.server) //nolint:noctx // on loopback
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	r := tapped{tap: p}
	var running sync.WaitGroup
	running.Go(func() { pass(server, proxy, r.asked) })
	pass(proxy, server, r.answered)
	running.Wait()
}

// pass passes on what one end sends, and that it has closed its end. Note is called
// with everything before it is passed on, and with nil at the end.
func pass(to, from *net.TCPConn, note func([]byte)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			note(buf[:n])
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			note(nil)
			to.CloseWrite()
			return
		}
	}
}

// tapped is what the tap knows about a connection.
type tapped struct {
	*tap

	mu     sync.Mutex
	stream bool // it carries a stream
	over   bool // one end has closed it, or another request came after the stream's
}

func (r *tapped) asked(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stream && !r.over && b != nil {
		r.reused.Add(1)
	}
	r.over = r.over || r.stream || b == nil
}

func (r *tapped) answered(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = r.stream || bytes.Contains(b, []byte("Content-Type: text/event-stream"))
	if b == nil && !r.stream && !r.over {
		r.over = true
		r.closed.Add(1)
	}
}
