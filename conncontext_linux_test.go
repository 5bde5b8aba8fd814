package sse_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"example.org/sse"
)

// The kernel is told for connections with TLS and without, and nothing happens to
// others.
func TestConnContext(t *testing.T) {
	for _, secure := range []bool{false, true} {
		timeouts := make(chan int, 1)
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			if sse.ConnContext(ctx, c) != ctx {
				t.Error("another context")
			}
			if s, ok := c.(interface{ NetConn() net.Conn }); ok {
				c = s.NetConn()
			}
			raw, err := c.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Error(err)
				return ctx
			}
			raw.Control(func(fd uintptr) {
				ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, 18) // TCP_USER_TIMEOUT
				if err != nil {
					t.Error(err)
				}
				timeouts <- ms
			})
			return ctx
		}
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		if response, err := server.Client().Get(server.URL); err != nil {
			t.Error(err)
		} else {
			response.Body.Close()
		}
		if ms := <-timeouts; ms != 10_000 {
			t.Errorf("TLS %v: %d ms", secure, ms)
		}
		server.Close()
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	sse.ConnContext(t.Context(), a)
}
