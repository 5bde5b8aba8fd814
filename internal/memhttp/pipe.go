package memhttp

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"example.org/sse/internal/poll"
)

// Pipe returns the two ends of a connection that buffers so many bytes in each
// direction. Closing an end is what closing a socket is: the other end reads
// what was written and then io.EOF, and its writes fail.
func Pipe(buffer int) (a, b net.Conn) { return pipe(buffer, nil) }

// pipe is Pipe with a network where b can be detached.
func pipe(buffer int, network poll.Network) (a, b net.Conn) {
	ab, ba := newFlow(buffer), newFlow(buffer)
	return &conn{in: ba, out: ab}, &conn{in: ab, out: ba, network: network}
}

type conn struct {
	in, out *flow
	network poll.Network // where it can be detached, nil for nowhere
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *conn) Close() error {
	c.in.close(true)
	c.out.close(false)
	return nil
}

// CloseWrite ends the stream of bytes to the other end, as of a half-closed
// socket.
func (c *conn) CloseWrite() error {
	c.out.close(false)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return addr{} }
func (c *conn) RemoteAddr() net.Addr { return addr{} }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.reader.set(c.in, t)
	c.out.writer.set(c.out, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.reader.set(c.in, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.writer.set(c.out, t)
	return nil
}

// A flow is one direction of a connection.
type flow struct {
	mu             sync.Mutex
	changed        sync.Cond // of all below
	watcher        func()
	buf            []byte
	size           int
	ended          bool // by the writing end: what is in buf can still be read
	refused        bool // by the reading end
	reader, writer deadline
}

func newFlow(size int) *flow {
	f := &flow{size: size}
	f.changed.L = &f.mu
	return f
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.refused:
			return 0, net.ErrClosed
		case f.reader.passed:
			return 0, os.ErrDeadlineExceeded
		case len(f.buf) > 0:
			n := copy(p, f.buf)
			f.buf = f.buf[n:]
			f.change()
			return n, nil
		case f.ended:
			return 0, io.EOF
		}
		f.changed.Wait()
	}
}

func (f *flow) write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.ended:
			return n, net.ErrClosed
		case f.refused:
			return n, syscall.EPIPE
		case f.writer.passed:
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := min(f.size-len(f.buf), len(p)); room > 0 {
			f.buf = append(f.buf, p[:room]...)
			p = p[room:]
			n += room
			f.change()
			continue
		}
		f.changed.Wait()
	}
}

func (f *flow) close(byReader bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if byReader {
		f.refused, f.buf = true, nil
	} else {
		f.ended = true
	}
	f.reader.stop()
	f.writer.stop()
	f.change()
}

// A deadline is that of one end of a flow, guarded by the flow's mu.
type deadline struct {
	passed  bool
	timer   *time.Timer
	version int
}

func (d *deadline) set(f *flow, t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.stop()
	d.version++
	current := d.version
	d.passed = !t.IsZero() && !time.Now().Before(t)
	if !t.IsZero() && !d.passed {
		d.timer = time.AfterFunc(time.Until(t), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if d.version == current {
				d.passed = true
				f.change()
			}
		})
	}
	f.change()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
