package sse

import (
	"context"
	"net"

	"example.org/sse/internal/poll"
)

// ConnContext is for net/http's Server.ConnContext. It has the kernel give up on
// clients that do not acknowledge what they were sent for 10 seconds, as those
// do whose network was cut. Otherwise such a client is noticed after a quarter
// of an hour; with it, 10 seconds after the next keep-alive. Detached streams do
// without, since they set the same on their connections, with their own write
// timeout.
//
// It works on Linux, for TCP connections and TLS over them, and changes nothing
// elsewhere. A program with a ConnContext of its own calls it from there.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // *tls.Conn
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = poll.SetUserTimeout(t, defaultWriteTimeout) // without it, it is as it was
	}
	return ctx
}
