package codingtest

import (
	"context"
	"flag"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

var seedsFlag = flag.Int("seeds", 0, "how many histories of compressed streams to test; 150 take minutes with the race detector")

// seeds returns how many histories to test: byDefault, or a few with -short.
func seeds(byDefault int) int {
	switch {
	case *seedsFlag > 0:
		return *seedsFlag
	case testing.Short():
		return 3
	}
	return byDefault
}

// steps is how many steps a history has.
const steps = 400

// A way is one of those in which streams are served.
type way struct {
	name            string
	http2, detached bool
}

var ways = []way{{name: "attached"}, {name: "h2c", http2: true}, {name: "detached", detached: true}}

// Memory checks that the clients of compressed streams get what they would get without
// compression, whatever happens: over connections in memory, in fake time. It tests as many
// histories as are given, or as the flag -seeds says.
func Memory(t *testing.T, c Codec, histories int) {
	t.Helper()
	each(t, histories, func(t *testing.T, w way, seed uint64, seen *counts) {
		synctest.Test(t, func(t *testing.T) {
			l := memhttp.Listen(64 << 10)
			newMix(t, c, seen, seed, time.Second).run(w, l, l.Dial)
			time.Sleep(time.Second) // fake: whoever pauses for a moment gets to its end
		})
	})
}

// Sockets checks the same over real sockets.
func Sockets(t *testing.T, c Codec, histories int) {
	t.Helper()
	each(t, histories, func(t *testing.T, w way, seed uint64, seen *counts) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		newMix(t, c, seen, seed, 50*time.Millisecond).run(w, l, func(ctx context.Context) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
			}
			return conn, err
		})
	})
}

// each calls test for each history over each way, and checks what was seen.
func each(t *testing.T, histories int, test func(t *testing.T, w way, seed uint64, seen *counts)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			var seen counts
			n := seeds(histories)
			for seed := range n {
				test(t, w, uint64(seed), &seen)
			}
			seen.check(t, n)
		})
	}
}

// listener returns the listener that a server of the way serves.
func (w way) listener(l net.Listener) net.Listener {
	if w.detached {
		return sse.Listener(l)
	}
	return l
}

// newServer returns a server for whose connections the kernel buffers less, so that a client
// that does not read is slow soon.
func (w way) newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, Protocols: memhttp.Protocols(w.http2), ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		if own, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = own.NetConn()
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(128 << 10) // it is slow later without
		}
		return ctx
	}}
}

func (w way) newClient(dial func(context.Context) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Protocols:          memhttp.Protocols(w.http2),
		HTTP2:              &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}, // else 4 MiB
		DisableCompression: true,                                                   // the test decodes
	}}
}

// counts are how often things have happened in the histories of a test.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counts) add(kind string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[string]int)
	}
	c.of[kind] += n
}

// check fails if something has never happened, unless there were only a few histories.
func (c *counts) check(t *testing.T, histories int) {
	t.Helper()
	t.Logf("%d histories of %d steps: %v", histories, steps, c.of)
	if histories < 5 || runtime.GOOS != "linux" {
		return
	}
	for _, kind := range []string{
		"event", "direct event", "comment", "snapshot", "resumed", "rejoined", "left out by skip", "left out by latest",
		"referring piece", "piece alone", "end by Close", "end by CloseSlow", "end by MaxAge", "end of all", "end by the client",
	} {
		if c.of[kind] == 0 {
			t.Errorf("%s: none in %d histories", kind, histories)
		}
	}
}
