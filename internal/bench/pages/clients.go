//go:build linux

package pages

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"example.org/sse/internal/bench/process"
)

// Clients is the process of a server's clients, which count what they get. Its exported
// methods are called by the measuring process.
type Clients struct{ received atomic.Int64 }

// Connections are so many clients that accept a coding.
type Connections struct {
	Count        int
	Addr, Coding string
}

// Connect connects clients, which read until the process is killed.
func (c *Clients) Connect(to Connections, _ *process.None) error {
	if err := process.RaiseFileLimit(to.Count); err != nil {
		return err
	}
	for range to.Count {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", to.Addr)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: %s\r\n\r\n", to.Coding); err != nil {
			return err
		}
		go c.read(conn)
	}
	return nil
}

func (c *Clients) read(conn net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		c.received.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// Received returns how many bytes all clients have got.
func (c *Clients) Received(_ process.None, n *int64) error {
	*n = c.received.Load()
	return nil
}
