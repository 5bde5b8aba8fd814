package sse_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"example.org/sse"
)

// The kernel gives up on a stream's client after the write timeout, and on other
// clients of the same connection when it always does.
func TestListenerUserTimeout(t *testing.T) {
	const tcpUserTimeout = 18
	for _, secure := range []bool{false, true} {
		var conn *net.TCPConn
		timeout := func() (ms int) {
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Error(err)
				return -1
			}
			raw.Control(func(fd uintptr) { ms, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) })
			if err != nil {
				t.Error(err)
			}
			return ms
		}
		got := make(chan int, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/plain" {
				got <- timeout()
				return
			}
			source, err := sse.Accept(w, r, &sse.AcceptOptions{WriteTimeout: 7 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			defer source.Close()
			got <- timeout()
		}))
		server.Listener = sse.Listener(server.Listener)
		server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			if secure {
				c = c.(*tls.Conn).NetConn()
			}
			conn = c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
			return ctx
		}
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		for _, tt := range []struct {
			path string
			want int
		}{{"/plain", 0}, {"/stream", 7000}, {"/plain", 0}} {
			response, err := server.Client().Get(server.URL + tt.path)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if ms := <-got; ms != tt.want {
				t.Errorf("TLS %v, %s: TCP_USER_TIMEOUT %d ms, want %d", secure, tt.path, ms, tt.want)
			}
		}
		server.Close()
	}
}
