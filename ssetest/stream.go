package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// Why a stream ended, if neither the server nor the network was it.
var (
	errClosed       = errors.New("ssetest: the test has closed the stream")
	errServerClosed = errors.New("ssetest: Server.Close has cut the stream")
)

// A Stream is an event stream that a test reads, over a connection of its own.
// It reads on its own account, whether or not the test waits for an event, and
// records what comes. Its end does not make it come back; see Reconnect.
//
// Its methods, but for Events, are for the test's goroutine.
type Stream struct {
	Recorder

	// Response is the head of what the server answered last. Its Body is the
	// Stream's to read.
	Response *http.Response

	server      *Server
	request     *http.Request
	lastEventID string
	connection  *connection // nil before the first
}

// Open opens a stream of the server: target is a path, with a query if there is
// one. It returns when the head of the response is there. The test fails if that
// takes more than 10 s, or if it is no event stream that the server answers
// with. The stream is closed at the end of the test, unless it has ended before.
func (s *Server) Open(t testing.TB, target string) *Stream {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatalf("ssetest: %v", err)
		return nil
	}
	return s.Do(t, r)
}

// Do is Open with any request, such as [net/http.NewRequest] and
// [net/http/httptest.NewRequest] make. Only the path and the query of its URL
// count. The headers Accept and Cache-Control are set as browsers do, if they
// are not in it.
func (s *Server) Do(t testing.TB, r *http.Request) *Stream {
	t.Helper()
	first := r.Clone(r.Context())
	first.URL = s.base.ResolveReference(&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery})
	first.RequestURI = "" // which httptest sets, for handlers
	if first.Header == nil {
		first.Header = make(http.Header)
	}
	for name, value := range map[string]string{"Accept": "text/event-stream", "Cache-Control": "no-cache"} {
		if first.Header.Get(name) == "" {
			first.Header.Set(name, value)
		}
	}
	st := &Stream{server: s, request: first, lastEventID: r.Header.Get("Last-Event-ID")}
	st.t, st.what = t, first.Method+" "+first.URL.RequestURI()
	t.Cleanup(st.Close)
	st.connect(first)
	return st
}

// Close leaves the stream and closes its connection, as a browser does when its
// page is closed, or as a network does that fails. Nothing is recorded
// afterwards. A stream that has ended already is left as it is.
func (st *Stream) Close() {
	if c := st.connection; c != nil {
		c.cancel(errClosed)
		<-c.done
	}
}

// Reconnect comes back, as a browser does when it has lost its connection: it
// closes the stream, if it is open, and opens it again, with the header
// Last-Event-ID if there was an id. It does not wait for the reconnection time
// that browsers keep to. What was recorded remains, and what comes is recorded
// after it. It fails the test where Open does, but waits for the Timeout.
func (st *Stream) Reconnect() {
	st.t.Helper()
	st.Close()
	r := st.request.Clone(st.request.Context())
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			st.t.Fatalf("ssetest: %s: the request cannot be sent again: it has a Body and no GetBody", st.what)
			return
		}
		body, err := r.GetBody()
		if err != nil {
			st.t.Fatalf("ssetest: %s: %v", st.what, err)
			return
		}
		r.Body = body
	}
	if c := st.connection; c != nil {
		st.lastEventID = c.decoder.LastEventID
	}
	if r.Header.Del("Last-Event-ID"); st.lastEventID != "" {
		r.Header.Set("Last-Event-ID", st.lastEventID)
	}
	st.connect(r)
}

// Stall stops reading, until Resume or Reconnect is called: nothing is recorded
// any more, the buffers on the way fill up, and from then on the server can send
// nothing. They hold some 20 KiB in memory or over HTTP/2, and half a MiB or so
// on a socket. The connection remains open.
func (st *Stream) Stall() {
	if st.connection.stall() {
		st.change(func() { st.stalled = true })
	}
}

// Resume goes on reading after Stall. What the server has sent comes first.
func (st *Stream) Resume() {
	st.connection.resume()
	st.change(func() { st.stalled = false })
}

// connect opens the stream.
func (st *Stream) connect(r *http.Request) {
	st.t.Helper()
	c, err := st.server.connect(r, st.timeout())
	if err != nil {
		st.t.Fatalf("ssetest: %s: %v", st.what, err)
		return
	}
	st.Response, st.connection = c.response, c
	c.decoder.LastEventID = st.lastEventID
	st.begin()
	go c.record(&st.Recorder)
}

// A connection is what a Stream reads from, once or, if it comes back, several
// times.
type connection struct {
	server    *Server
	transport *http.Transport // of its own
	ctx       context.Context // of the request
	cancel    context.CancelCauseFunc
	response  *http.Response
	decoder   *sse.Decoder
	done      chan struct{} // closed when nothing is read any more

	mu      sync.Mutex
	resumed chan struct{} // closed by resume; nil if it is not stalled
}

// connect makes a request over a new connection.
func (s *Server) connect(r *http.Request, timeout time.Duration) (*connection, error) {
	c := &connection{server: s, transport: s.transport(), done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(r.Context())
	if timeout >= 0 {
		defer time.AfterFunc(timeout, func() { c.cancel(fmt.Errorf("no answer within %v", timeout)) }).Stop()
	}
	client := http.Client{Transport: c.transport}
	response, err := client.Do(r.WithContext(c.ctx))
	if err != nil {
		if cause := context.Cause(c.ctx); cause != nil {
			err = cause // and not what net/http makes of it
		}
		return nil, c.abandon(err)
	}
	if err := refusal(response); err != nil {
		response.Body.Close()
		return nil, c.abandon(err)
	}
	c.response, c.decoder = response, sse.NewDecoder(c)
	s.change(func() { s.connections[c] = struct{}{} })
	return c, nil
}

// abandon gives up a connection that was not made, because of err.
func (c *connection) abandon(err error) error {
	c.cancel(nil)
	c.server.disconnect(c.transport)
	return err
}

// refusal returns an error if the response is no event stream.
func refusal(r *http.Response) error {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.StatusCode == http.StatusOK && mediaType == "text/event-stream" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 100))
	_ = err // what came before it will do
	return &sse.ResponseError{StatusCode: r.StatusCode, Header: r.Header, Body: body}
}

// record reads to the end.
func (c *connection) record(r *Recorder) {
	defer c.server.change(func() { delete(c.server.connections, c) })
	defer close(c.done)
	defer c.server.disconnect(c.transport)
	defer c.response.Body.Close()
	defer c.cancel(nil)
	r.record(c.events)
}

// events is the loop over the events.
func (c *connection) events(yield func(sse.Event, error) bool) {
	for {
		e, err := c.decoder.Decode()
		if err == io.EOF { //nolint:errorlint // an error that wraps it is a failure
			return
		}
		if cause := context.Cause(c.ctx); err != nil && cause != nil {
			err = cause
		}
		if !yield(e, err) || err != nil {
			return
		}
	}
}

// Read reads for the decoder, unless the connection is stalled.
func (c *connection) Read(p []byte) (int, error) {
	if err := c.flows(); err != nil {
		return 0, err
	}
	n, err := c.response.Body.Read(p)
	if err := c.flows(); err != nil { // it was stalled meanwhile
		return 0, err
	}
	return n, err
}

// flows waits while the connection is stalled.
func (c *connection) flows() error {
	for {
		c.mu.Lock()
		resumed := c.resumed
		c.mu.Unlock()
		if resumed == nil {
			return nil
		}
		select {
		case <-resumed:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
}

// stall reports whether the connection was not stalled before.
func (c *connection) stall() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed != nil {
		return false
	}
	c.resumed = make(chan struct{})
	return true
}

func (c *connection) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed != nil {
		close(c.resumed)
		c.resumed = nil
	}
}

func (c *connection) isStalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resumed != nil
}
