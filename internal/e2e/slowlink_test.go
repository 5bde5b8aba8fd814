package e2e

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A slowLink passes on what a client and a server send each other. What the server sends
// arrives after a delay, which is 0 at first.
type slowLink struct {
	addr   string
	server string

	delay atomic.Int64 // nanoseconds
}

// startSlowLink starts a link to a server. It stops when the test ends, after its clients.
func startSlowLink(t *testing.T, server string) *slowLink {
	t.Helper()
	s := &slowLink{server: server}
	s.addr = relay(t, s.connect)
	return s
}

// connect connects a client with the server, until both have closed their ends.
func (s *slowLink) connect(client *net.TCPConn) {
	defer client.Close()
	c, err := net.Dial("tcp", s.server) //nolint:noctx // on loopback
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	type chunk struct {
		bytes []byte
		due   time.Time
	}
	chunks := make(chan chunk, 1000)
	var running sync.WaitGroup
	running.Go(func() { pass(server, client, func([]byte) {}) })
	running.Go(func() {
		for b := range chunks {
			time.Sleep(time.Until(b.due)) // the delay
			client.Write(b.bytes)         // an error ends the other direction as well
		}
		client.CloseWrite()
	})
	for {
		b := make([]byte, 64<<10)
		n, err := server.Read(b)
		if err != nil {
			break
		}
		chunks <- chunk{b[:n], time.Now().Add(time.Duration(s.delay.Load()))}
	}
	close(chunks)
	running.Wait()
}
