package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"example.org/sse/internal/memhttp"
)

// memory is a network in memory, for tests in fake time: its addresses are those of
// a host that nothing else uses, and those without a server refuse connections, or
// never answer: port 9.
var memory = struct {
	host string

	mu        sync.Mutex
	listeners map[string]*memhttp.Listener // by address
	ports     int                          // the last that is in use
}{host: "127.0.0.2", listeners: make(map[string]*memhttp.Listener), ports: 9}

// dialMemory is the commands' DialContext in tests.
func dialMemory(ctx context.Context, network, addr string) (net.Conn, error) {
	if !strings.HasPrefix(addr, memory.host+":") {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	if addr == memory.host+":9" { // as if a firewall dropped the packets
		<-ctx.Done()
		return nil, ctx.Err()
	}
	memory.mu.Lock()
	l := memory.listeners[addr]
	memory.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return l.Dial(ctx)
}

// listenInMemory makes a server that has not started listen in memory, until the test
// ends. It returns the address.
func listenInMemory(t *testing.T, server *httptest.Server) (addr string) {
	t.Helper()
	l := memhttp.Listen(64 << 10)
	memory.mu.Lock()
	defer memory.mu.Unlock()
	memory.ports++
	addr = fmt.Sprintf("%s:%d", memory.host, memory.ports)
	memory.listeners[addr] = l
	server.Listener.Close()
	server.Listener = l
	t.Cleanup(func() {
		memory.mu.Lock()
		defer memory.mu.Unlock()
		delete(memory.listeners, addr)
	})
	return addr
}

// serveInMemory starts a server in memory. The caller closes it.
func serveInMemory(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	addr := listenInMemory(t, server)
	server.Start()
	server.URL = "http://" + addr
	return server
}

// inFakeTime runs a subtest in a bubble, with a server in memory: no machine is too
// busy for the times in its command line.
func inFakeTime(t *testing.T, name string, test func(t *testing.T, server *httptest.Server)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newServerOn(t, serveInMemory)) })
	})
}
