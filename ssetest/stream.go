package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/internal/fetch"
)

const (
	// fakeTimeout is how long Open waits in a synctest bubble, noDeadlineTimeout in a
	// test without a deadline.
	fakeTimeout       = 24 * time.Hour
	noDeadlineTimeout = 10 * time.Minute

	// refusalWait is how long Open waits for the beginning of an error's text.
	refusalWait = time.Second
)

// The errors of streams that neither the server nor the network ended.
var (
	errClosed       = errors.New("ssetest: stream closed by the test")
	errServerClosed = errors.New("ssetest: stream cut by Server.Close")
)

// A Stream is an event stream that a test reads, over its own connection. It reads
// and records all events, whether or not the test waits for one. It does not
// reconnect by itself; see Reconnect.
//
// Its methods, except Events, must be called from the test's goroutine.
type Stream struct {
	Recorder

	// Response is the server's latest response. Its Body is read by the Stream.
	Response *http.Response

	server      *Server
	request     *http.Request
	lastEventID string
	connection  *connection // nil before the first connect
}

// Open opens a stream. Its target is a path, with an optional query. Open returns
// when the head of the response has arrived. The test fails if the response is not
// an event stream, or if none arrives within nine tenths of the time that is left
// until the test's deadline (see the flag -timeout of go test, 10 minutes by default).
// In a [testing/synctest] bubble Open waits for 24 hours, which take no time there,
// and in a test without a deadline, such as a benchmark, for 10 minutes. The stream
// is closed at the end of the test, unless it has ended before.
func (s *Server) Open(t testing.TB, target string) *Stream {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatalf("ssetest: %v", err)
		return nil
	}
	return s.Do(t, r)
}

// Do is like Open for any request, such as one from [net/http.NewRequest] or
// [net/http/httptest.NewRequest]. Of its URL, only the path and the query are
// used. Do sets the headers Accept and Cache-Control as browsers do, unless the
// request has them. The stream ends with the request's context, and so does the
// wait for a response.
func (s *Server) Do(t testing.TB, r *http.Request) *Stream {
	t.Helper()
	first := r.Clone(r.Context())
	first.URL = s.base.ResolveReference(&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery})
	first.RequestURI = "" // set by httptest, but invalid in a client
	if first.Header == nil {
		first.Header = make(http.Header)
	}
	for name, value := range map[string]string{"Accept": "text/event-stream", "Cache-Control": "no-cache"} {
		if first.Header.Get(name) == "" {
			first.Header.Set(name, value)
		}
	}
	st := &Stream{server: s, request: first, lastEventID: r.Header.Get("Last-Event-ID")}
	st.t, st.name = t, first.Method+" "+first.URL.RequestURI()
	t.Cleanup(st.Close)
	st.connect(first)
	return st
}

// Close closes the stream's connection, as a browser does when its page is closed,
// or as a failing network does. Nothing is recorded afterwards. Close does nothing
// if the stream has already ended.
func (st *Stream) Close() {
	if c := st.connection; c != nil {
		c.cancel(errClosed)
		<-c.done
	}
}

// Reconnect reconnects as a browser does that has lost its connection: it closes
// the stream, if it is open, and opens it again, with the header Last-Event-ID if
// there was an id. Unlike a browser, it does not wait for the reconnection time.
// New events are recorded after the earlier ones. Reconnect fails the test when
// Open would. It waits for the Timeout, if that is not 0.
func (st *Stream) Reconnect() {
	st.t.Helper()
	st.Close()
	r := st.request.Clone(st.request.Context())
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			st.t.Fatalf("ssetest: %s: cannot send the request again: it has a Body but no GetBody", st.name)
			return
		}
		body, err := r.GetBody()
		if err != nil {
			st.t.Fatalf("ssetest: %s: %v", st.name, err)
			return
		}
		r.Body = body
	}
	if c := st.connection; c != nil {
		st.lastEventID = c.decoder.LastEventID
	}
	r.Header.Del("Last-Event-ID")
	if id, ok := fetch.LastEventID(st.lastEventID); ok {
		r.Header.Set("Last-Event-ID", id)
	}
	st.connect(r)
}

// Stall stops reading until Resume or Reconnect is called. No more events are
// recorded, the buffers between server and client fill up, and then the server can
// send nothing more. The buffers hold some 20 KiB in memory or over HTTP/2, and
// about half a MiB on a socket. The connection remains open.
func (st *Stream) Stall() {
	if st.connection.stall() {
		st.change(func() { st.stalled = true })
	}
}

// Resume resumes reading after Stall, with what the server sent meanwhile.
func (st *Stream) Resume() {
	st.connection.resume()
	st.change(func() { st.stalled = false })
}

// connect opens the stream.
func (st *Stream) connect(r *http.Request) {
	st.t.Helper()
	timeout := st.Timeout
	if timeout == 0 {
		timeout = timeLeft(st.t)
	}
	c, err := st.server.connect(r, timeout)
	if err != nil {
		st.t.Fatalf("ssetest: %s: %v", st.name, err)
		return
	}
	st.Response, st.connection = c.response, c
	c.decoder.LastEventID = st.lastEventID
	st.begin()
	go c.record(&st.Recorder)
}

// A connection is one connection of a Stream. Each Reconnect makes a new one.
type connection struct {
	server    *Server
	transport *http.Transport // used by this connection only
	ctx       context.Context // of the request
	cancel    context.CancelCauseFunc
	response  *http.Response
	decoder   *sse.Decoder
	done      chan struct{} // closed when nothing more is read

	mu      sync.Mutex
	resumed chan struct{} // closed by resume; nil unless stalled
}

// connect makes a request over a new connection.
func (s *Server) connect(r *http.Request, timeout time.Duration) (*connection, error) {
	c := &connection{server: s, transport: s.transport(), done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(r.Context())
	stop := func() bool { return false }
	if timeout >= 0 {
		stop = time.AfterFunc(timeout, func() { c.cancel(errNoResponse(timeout)) }).Stop
	}
	client := http.Client{Transport: c.transport}
	response, err := client.Do(r.WithContext(c.ctx))
	stop()
	if err != nil {
		if cause := context.Cause(c.ctx); cause != nil {
			err = cause // without net/http's wrapping
		}
		return nil, c.abandon(err)
	}
	if err := c.refusal(response); err != nil {
		response.Body.Close()
		return nil, c.abandon(err)
	}
	c.response, c.decoder = response, sse.NewDecoder(c)
	s.change(func() { s.connections[c] = struct{}{} })
	return c, nil
}

// abandon releases a connection that could not be established, and returns err.
func (c *connection) abandon(err error) error {
	c.cancel(nil)
	c.server.disconnect(c.transport)
	return err
}

// timeLeft returns how long a test may wait for a response, so that it fails before
// go test ends all tests, with a message that says less.
func timeLeft(t testing.TB) (left time.Duration) {
	left = fakeTimeout
	defer func() { _ = recover() }() // Deadline panics in a bubble: the time there is not the deadline's
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, ok := d.Deadline(); ok {
			return max(0, time.Until(deadline)/10*9).Round(time.Millisecond)
		}
	}
	return noDeadlineTimeout
}

func errNoResponse(timeout time.Duration) error {
	return fmt.Errorf("no response within %v; a response begins with the handler's first Write or Flush, or at once with sse.Accept", timeout)
}

// refusal returns an error if the response is not an event stream.
func (c *connection) refusal(r *http.Response) error {
	defer time.AfterFunc(refusalWait, func() { c.cancel(nil) }).Stop() // the body may never end
	if r.StatusCode == http.StatusOK && fetch.IsEventStream(r.Header) {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 100))
	_ = err // what was read before it is enough
	return &sse.ResponseError{StatusCode: r.StatusCode, Header: r.Header, Body: body}
}

// record reads and records the stream until it ends.
func (c *connection) record(r *Recorder) {
	defer c.server.change(func() { delete(c.server.connections, c) })
	defer close(c.done)
	defer c.server.disconnect(c.transport)
	defer c.response.Body.Close()
	defer c.cancel(nil)
	r.record(c.events)
}

// events iterates over the events.
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
	if err := c.awaitFlow(); err != nil {
		return 0, err
	}
	n, err := c.response.Body.Read(p)
	if err := c.awaitFlow(); err != nil { // it may have been stalled meanwhile
		return 0, err
	}
	return n, err
}

// awaitFlow waits while the connection is stalled.
func (c *connection) awaitFlow() error {
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

// stall stalls the connection and reports whether it was not stalled before.
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
