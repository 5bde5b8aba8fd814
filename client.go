package sse

import (
	"context"
	"io"
	"iter"
	"net/http"
	"sync"
	"time"
)

// A Client reads an event stream over HTTP, and comes back whenever it ends, as
// the browser's EventSource does:
//
//	client := sse.Client{URL: "https://example.org/events"}
//	for event, err := range client.Events(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Type, event.Data)
//	}
//
// All fields but URL may be left zero. They must not be changed while a loop
// over [Client.Events] runs. The hooks are called by the loop's goroutine, one
// at a time, and a stream waits for them as it does for the loop.
type Client struct {
	// URL is where the stream is, http or https.
	URL string

	// HTTPClient sends the requests: nil is [http.DefaultClient]. Its Timeout must be
	// 0, as it would end every stream; IdleTimeout and the loop's context are
	// what to use instead. Redirects, cookies and proxies are its business, and
	// so is which headers follow a redirect to another host: Authorization and
	// Cookie do not, others do.
	HTTPClient *http.Client

	// Method is GET if empty, or POST if there is a GetBody.
	Method string

	// Header is sent with each request. Accept and Cache-Control are set as
	// browsers do, if they are not in it, and Last-Event-ID is the client's.
	Header http.Header

	// GetBody, if not nil, returns the body of each request. Without it a POST or
	// PATCH is sent once: when its stream ends the loop does, too. If GetBody
	// fails, so does the loop.
	GetBody func() (io.Reader, error)

	// ResumeAfter is the last event ID that the first loop begins with, of an
	// event that was seen before. The server is asked for what follows it.
	ResumeAfter string

	// Retry is the reconnection time: how long to wait before the next request,
	// until the server tells another. It is 100 ms at least, whoever tells it,
	// and is doubled with each further attempt in a row that brings no event;
	// and up to half as much again is added at random, so that not all clients
	// of a server come back at once. 0: 3 s, negative: the client does not come
	// back, and the loop ends with the stream.
	Retry time.Duration

	// MaxRetry ends the doubling. A connection that lasted as long counts as
	// one that brought an event. 0: 30 s, negative: nothing is doubled.
	MaxRetry time.Duration

	// IdleTimeout is how long the server may be silent, before its answer and
	// in the stream, until the connection is given up and another one is made.
	// Every byte counts, those of comments too: it should be twice what the
	// server's keep-alive is, which is 30 s for this package's. The time that
	// the loop's body takes does not count. 0 or negative: for ever.
	IdleTimeout time.Duration

	// MaxEvent is how many bytes an event may have; see [Decoder].
	MaxEvent int

	// OnRequest is called with each request before it is sent, to add what must
	// be fresh each time, such as a token. Its error ends the loop.
	OnRequest func(*http.Request) error

	// OnOpen is called when the server has answered with a stream. The body of
	// the response is not to be read.
	OnOpen func(*http.Response)

	// OnError is called with each error after which the client comes back, and
	// how long it will wait before: io.EOF if the server ended the stream, as
	// servers do, [os.ErrDeadlineExceeded] within one for the IdleTimeout, or
	// net/http's.
	OnError func(err error, wait time.Duration)

	// OnComment is called with each comment; see [Decoder].
	OnComment func(text string)

	mu          sync.Mutex
	running     bool // a loop
	began       bool // and so ResumeAfter has been used
	state       ReadyState
	lastEventID string
	retry       time.Duration // what the server told, or else negative
}

// Events connects to the server and yields the stream's events as they come,
// those of the next connection after those of the last, for as long as the loop
// runs. Each is decoded as [Decoder.Decode] says. Leaving the loop closes the
// connection.
//
// A connection that fails, ends or falls silent is made anew: after a wait (see
// Retry), with the header Last-Event-ID, which the server needs to go on where
// it stopped. An id that is empty, or that Event says cannot be sent, has no
// header. [Client.OnError] hears of it, the loop does not.
//
// What ends the loop is yielded as its last pair, with a zero event:
//
//   - A *[ResponseError]: the server answered with another status than 200 and
//     204, or with what is no event stream.
//   - An [ErrTooLarge]: an event has more than MaxEvent bytes. Coming back for
//     it would be no use.
//   - An error of the request: the URL is none, a header cannot be sent, HTTPClient
//     has a Timeout, a redirect leads nowhere, or OnRequest or GetBody failed.
//   - [context.Cause] of the context, once it is done: at once, whatever the
//     loop waits for. No event follows, and no hook is called.
//   - If the client does not come back, what the connection failed with.
//
// No error at all is yielded after a 204, by which a server says that there is
// no more to come, and at the end of a stream that the client does not come
// back for.
//
// One loop may run at a time. The next one goes on after the last event that
// was yielded, which is a way to reconnect at once.
//
// https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		left := false
		err := c.run(ctx, func(e Event) bool {
			left = !yield(e, nil)
			return !left
		})
		if err != nil && !left {
			yield(Event{}, err)
		}
	}
}

// ReadyState returns [Open] while there is a stream, [Connecting] before the
// first one and while the client is about to come back, and [Closed] when the
// loop has ended. Any goroutine may call it.
func (c *Client) ReadyState() ReadyState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// LastEventID returns the last event ID: the one of the event that was yielded
// last, unless the server has told another since, or ResumeAfter. Any goroutine
// may call it.
func (c *Client) LastEventID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.began {
		return c.ResumeAfter
	}
	return c.lastEventID
}
