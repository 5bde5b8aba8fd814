package e2e

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The official client of MCP loses its connection in the middle of a call, and resumes
// in another process of the example: it gets each report once, and the result.
func TestExampleMCP(t *testing.T) {
	skipShort(t)
	needPackages(t)
	b := startBroker(t, 1)
	var processes []string
	for range 2 {
		processes = append(processes, strings.TrimPrefix(startExample(t, "mcp", "-nats", b.connect(t, 0).ConnectedUrl()), "http://"))
	}
	// Not httputil.ReverseProxy: on a busy machine it reported twice that its own connection was closed
	// under the stream of the POST, before the first event. Why is not known.
	link := &exchange{to: processes[0]}
	addr := relay(t, link.connect)
	t.Cleanup(func() { link.use("") })
	client := runScript(t, "mcp.mjs", "http://"+addr)
	client.say("dig")
	var got []string
	for late := time.After(patience); !slices.Contains(got, "result gold"); {
		select {
		case line := <-client.lines:
			if strings.HasPrefix(line, "error ") && strings.Contains(line, "disconnected") {
				continue // the client reports that it was cut
			}
			if got = append(got, line); len(got) == 3 {
				link.use(processes[1])
			}
		case <-late:
			t.Fatalf("got %q, want the result", got)
		}
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("progress ", i))
	}
	if want = append(want, "result gold"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := link.resumed.Load(); n != 1 {
		t.Errorf("the client resumed %d times, want once", n)
	}
}

// An exchange connects clients with a server.
type exchange struct {
	resumed atomic.Int64 // requests with an id

	mu    sync.Mutex
	to    string
	conns []net.Conn
}

// use connects with another server from now on, and cuts the connections of now.
func (x *exchange) use(to string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.to = to
	for _, c := range x.conns {
		c.Close()
	}
	x.conns = nil
}

func (x *exchange) connect(client *net.TCPConn) {
	defer client.Close()
	x.mu.Lock()
	c, err := net.Dial("tcp", x.to) //nolint:noctx // on loopback
	if err == nil {
		x.conns = append(x.conns, client, c)
	}
	x.mu.Unlock()
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	var running sync.WaitGroup
	running.Go(func() {
		pass(server, client, func(b []byte) {
			if bytes.Contains(bytes.ToLower(b), []byte("last-event-id: ")) {
				x.resumed.Add(1)
			}
		})
	})
	pass(client, server, func([]byte) {})
	running.Wait()
}
