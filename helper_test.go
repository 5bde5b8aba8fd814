package sse_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

// TestMain fails if a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if run := os.Getenv("SSE_TEST_MAIN"); run != "" {
		childMain(run) // a real process, for TestSignal
		return
	}
	code := m.Run()
	if leaked := leakedGoroutines(); leaked != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", leaked)
		code = 1
	}
	os.Exit(code)
}

// leakedGoroutines returns the stacks of goroutines that do not end within some
// seconds, other than those of the test's own.
func leakedGoroutines() string {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	var leaked []string
	for range 50 {
		leaked = leaked[:0]
		buf := make([]byte, 16<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "example.org/sse") && !strings.Contains(g, "leakedGoroutines") || strings.Contains(g, "net/http.") {
				leaked = append(leaked, g)
			}
		}
		if len(leaked) == 0 {
			return ""
		}
		time.Sleep(100 * time.Millisecond) // real goroutines of real connections are ending
	}
	return strings.Join(leaked, "\n\n")
}

// A transport is one way to serve a stream.
type transport struct {
	name     string
	http2    bool
	detached bool // Serve detaches; else its handler has to wait
}

var transports = []transport{{name: "HTTP/1.1"}, {name: "h2c", http2: true}, {name: "detached", detached: true}}

// A holding writer does not give its connection away.
type holding struct{ http.ResponseWriter }

func (w holding) inner() *http.ResponseController {
	return http.NewResponseController(w.ResponseWriter)
}
func (w holding) FlushError() error                      { return w.inner().Flush() }
func (w holding) SetReadDeadline(until time.Time) error  { return w.inner().SetReadDeadline(until) }
func (w holding) SetWriteDeadline(until time.Time) error { return w.inner().SetWriteDeadline(until) }
func (w holding) EnableFullDuplex() error                { return w.inner().EnableFullDuplex() }

// overEach runs a test over each transport in fake time: the connections are in
// memory, and time passes when everybody waits.
func overEach(t *testing.T, test func(t *testing.T, tr transport)) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				test(t, tr)
				time.Sleep(time.Second) // fake: whoever pauses for a moment gets to its end
			})
		})
	}
}

// overEachSocket runs a test over each transport and real sockets, in real time.
func overEachSocket(t *testing.T, test func(t *testing.T, tr transport)) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) { test(t, tr) })
	}
}

// A site is a server and a client of it.
type site struct {
	transport
	t      *testing.T
	server *http.Server
	client *http.Client
	dial   func(context.Context) (net.Conn, error)
	served chan error
	stop   func()
}

// socketBuffer is what a connection in memory buffers.
const socketBuffer = 64 << 10

// serve starts a site in memory.
func (tr transport) serve(t *testing.T, handler http.Handler, configure ...func(*http.Server)) *site {
	l := memhttp.Listen(socketBuffer)
	return tr.start(t, handler, l, l.Dial, configure...)
}

// listen starts a site on a real socket.
func (tr transport) listen(t *testing.T, handler http.Handler, configure ...func(*http.Server)) *site {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return tr.start(t, handler, l, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}, configure...)
}

func (tr transport) start(t *testing.T, handler http.Handler, l net.Listener, dial func(context.Context) (net.Conn, error), configure ...func(*http.Server)) *site {
	if tr.detached {
		l = sse.Listener(l)
	}
	s := &site{
		transport: tr,
		t:         t,
		server:    &http.Server{Handler: handler, Protocols: memhttp.Protocols(tr.http2)},
		dial:      dial,
		served:    make(chan error, 1),
	}
	for _, f := range configure {
		f(s.server)
	}
	client := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Protocols:   memhttp.Protocols(tr.http2),
		HTTP2:       &http.HTTP2Config{MaxReceiveBufferPerStream: socketBuffer}, // else 4 MiB
	}
	s.client = &http.Client{Transport: client}
	go func() { s.served <- s.server.Serve(l) }()
	s.stop = func() {
		s.server.Close()
		client.CloseIdleConnections()
	}
	t.Cleanup(s.stop)
	return s
}

// open opens a stream. Headers are given as pairs of name and value.
func (s *site) open(headers ...string) *stream {
	s.t.Helper()
	return s.openURL("http://memory/", headers...)
}

func (s *site) openURL(url string, headers ...string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(r)
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	st := &stream{t: s.t, response: response, decoder: newDecoder(response.Body), cancel: cancel}
	s.t.Cleanup(st.close)
	return st
}

// shutdown shuts the server down, as any program does.
func (s *site) shutdown() error { return s.server.Shutdown(s.t.Context()) }

// smallBuffers has the kernel buffer less for each connection: else the socket
// of a client that reads nothing takes megabytes. Much less, and TCP itself
// stalls on loopback, whose packets are of 64 KiB.
func smallBuffers(srv *http.Server) {
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if own, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = own.NetConn()
		}
		c.(*net.TCPConn).SetWriteBuffer(256 << 10)
		return ctx
	}
}

// A stream is the receiving end of a stream.
type stream struct {
	t        *testing.T
	response *http.Response
	*decoder
	cancel context.CancelFunc
}

// close leaves the stream, as a browser does when its page is closed.
func (st *stream) close() {
	st.cancel()
	st.response.Body.Close()
}

// want reads events and compares them, each as type|data.
func (st *stream) want(events ...string) {
	st.t.Helper()
	for _, want := range events {
		e, err := st.next()
		if got := e.typ + "|" + e.data; err != nil || got != want {
			st.t.Fatalf("got event %q, error %v; want %q", got, err, want)
		}
	}
}

// wantEnd reads to the clean end of the stream, and no event more.
func (st *stream) wantEnd() {
	st.t.Helper()
	if e, err := st.next(); err != io.EOF {
		st.t.Fatalf("got event %q, error %v; want the end of the stream", e, err)
	}
}

// A connected handler serves each request a stream and hands its source out.
func connected(o *sse.AcceptOptions) (http.Handler, <-chan *sse.EventSource) {
	sources := make(chan *sse.EventSource, 100)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, o, func(source *sse.EventSource) { sources <- source })
	}), sources
}

// eventually waits for a condition in real time.
func eventually(t *testing.T, within time.Duration, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(time.Millisecond) // polling a state that real sockets bring about
	}
}

// state is what a Snapshot returns that is one event.
func state(typ, data string) ([]sse.Event, error) { return []sse.Event{{Type: typ, Data: data}}, nil }

// skipShort skips a test that loads the machine.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it loads the machine")
	}
}
