package sse

import (
	"context"
	"io"
	"iter"
	"net/http"
	"sync"
	"time"
)

// A Client reads an event stream over HTTP and reconnects whenever it ends, as
// the browser's EventSource does. [Client.Events] says what ends its loop.
//
//	client := sse.Client{URL: "https://example.org/events"}
//	for event, err := range client.Events(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Type, event.Data)
//	}
//
// All fields except URL may be zero. They must not be changed while a loop over
// [Client.Events] runs. The loop's goroutine calls the hooks, one at a time, and
// reads nothing from the stream while a hook or the loop's body runs.
type Client struct {
	// URL is the URL of the stream, http or https.
	URL string

	// HTTPClient sends the requests; nil means [http.DefaultClient]. Its Timeout
	// must be 0, because it would end every stream: use IdleTimeout and the
	// loop's context instead. HTTPClient handles redirects, cookies and proxies,
	// and decides which headers follow a redirect to another host: Authorization
	// and Cookie do not, others do.
	HTTPClient *http.Client

	// Method is the method of the requests. If empty, it is POST if GetBody is
	// set, and GET otherwise.
	Method string

	// Header is sent with each request. Unless it sets Accept and Cache-Control,
	// the client sends the browsers' values. The client always sets Last-Event-ID
	// itself.
	Header http.Header

	// GetBody, if not nil, returns the body of each request, and of each request
	// that a redirect repeats. An error of GetBody ends the loop.
	GetBody func() (io.Reader, error)

	// RepeatPost makes the client repeat a POST or PATCH when its stream ends or
	// its connection fails, as it does other requests. Set it only if the server
	// expects that: each request may run the same prompt, or place the same order,
	// once more. Without RepeatPost the loop ends with the stream, or with the error
	// of the connection. Only a request that was never sent is repeated, because a
	// connection could not be made (such as "connection refused").
	RepeatPost bool

	// ResumeAfter is the last event ID that the first loop begins with: the id of
	// the last event that was seen before. The server is asked for the events
	// after it.
	ResumeAfter string

	// Retry is the reconnection time: how long to wait before the next request.
	// A time that the server sends replaces it; less than 100 ms, from either,
	// counts as 100 ms. The wait doubles with each further attempt in a row that
	// brings no event, and a random time of up to half of it is added, so that
	// the clients of a server do not all reconnect at once. 0: 3 s, negative: the
	// client does not reconnect, and the loop ends with the stream.
	Retry time.Duration

	// Persistent makes the client reconnect after failures that may pass, but end the
	// loop by default, as they do in browsers:
	//
	//   - The statuses 429, 502, 503 and 504, also if the client has had a stream
	//     before. [Client.OnError] gets a *[ResponseError]. A Retry-After in the
	//     response, in seconds or as a date, is the minimum of the wait; more than
	//     an hour counts as an hour.
	//   - A host that does not exist, and a certificate that cannot be verified.
	//     These end the loop only if the client has never had a stream: a wrong URL
	//     is then more likely. Afterwards they are lost connections like others.
	Persistent bool

	// MaxRetry is where the doubling ends. A connection that lasted at least as
	// long counts as one that brought an event. 0: 30 s, negative: no doubling.
	MaxRetry time.Duration

	// IdleTimeout is how long the server may be silent, before its response and
	// in the stream, before the client gives up the connection and reconnects.
	// Every byte counts, comments included, so IdleTimeout should be twice the
	// server's keep-alive interval, which is 30 s for this package. The time that
	// the loop's body takes does not count. 0 or negative: no limit.
	IdleTimeout time.Duration

	// MaxEvent is the maximum size of an event in bytes; see [Decoder].
	MaxEvent int

	// OnRequest is called with each request before it is sent, to add what must
	// be new each time, such as a token. An error ends the loop.
	OnRequest func(*http.Request) error

	// OnOpen is called when the server has responded with a stream. It must not
	// read the body of the response.
	OnOpen func(*http.Response)

	// OnError is called with each error after which the client reconnects, and
	// with the wait before that. The error is io.EOF if the server ended the
	// stream, as servers do, wraps [os.ErrDeadlineExceeded] after IdleTimeout,
	// is a *[ResponseError] after a status for which Persistent is set, and
	// otherwise comes from net/http.
	OnError func(err error, wait time.Duration)

	// OnComment is called with each comment; see [Decoder].
	OnComment func(text string)

	mu          sync.Mutex // guards the fields below
	running     bool       // a loop is running
	began       bool       // a loop has begun, so ResumeAfter has been used
	opened      bool       // there has been a stream
	state       ReadyState
	lastEventID string
	retry       time.Duration // the reconnection time that the server sent; negative if none
}

// Events connects to the server and yields the events of the stream as they
// arrive, followed by the events of the next connection, for as long as the loop
// runs. [Decoder.Decode] says how each is decoded. Leaving the loop closes the
// connection.
//
// When a connection fails, ends or falls silent, the client waits (see Retry) and
// reconnects with the header Last-Event-ID, from which the server knows where to
// resume. As in browsers, the header lacks spaces and tabs at the ends of the id.
// It is left out if the id is empty or contains another control byte, which
// net/http does not send. [Client.OnError] is called with the error; the loop does
// not see it.
//
// The loop ends with one of these errors, which is yielded as the last pair, with
// a zero event:
//
//   - A *[ResponseError]: the server responded with a status other than 200 and
//     204, or not with an event stream: its Content-Type is not text/event-stream,
//     or has a charset other than utf-8, which Chromium refuses too.
//   - An [ErrTooLarge]: an event has more than MaxEvent bytes. Reconnecting would
//     not help.
//   - An error of the request: the URL is invalid, a header cannot be sent,
//     HTTPClient has a Timeout, a redirect cannot be followed (the error has its
//     Location), or OnRequest or GetBody failed.
//   - The error of the client's first connection, if the host does not exist or its
//     certificate cannot be verified, and if there has been no stream yet.
//   - [context.Cause] of the context, as soon as the context is done, whatever the
//     loop is waiting for. No event follows, and no hook is called.
//   - The error of the connection, if the client does not reconnect: because Retry
//     is negative, or after a POST or PATCH (see RepeatPost).
//
// The loop ends without an error after a 204, which means that there are no more
// events, and at the end of a stream if the client does not reconnect.
//
// After every other error the client reconnects, also if it has never had a stream:
// the server may not have started yet. A program sees that in [Client.OnError]
// alone. With [Client.Persistent] the client also reconnects after a 429, 502, 503
// or 504, and after the errors of its first connection.
//
// Only one loop may run at a time. The next loop continues after the last event
// that was yielded, so starting one is a way to reconnect at once.
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
// first stream and while the client is about to reconnect, and [Closed] after the
// loop has ended. It may be called from any goroutine.
func (c *Client) ReadyState() ReadyState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// LastEventID returns the last event ID: the id of the event that was yielded
// last, or an id that the server has sent since without an event, or ResumeAfter
// if there is neither. It may be called from any goroutine.
func (c *Client) LastEventID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.began {
		return c.ResumeAfter
	}
	return c.lastEventID
}
