package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// check refuses what no attempt could succeed with.
func (c *Client) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("sse: Client.URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("sse: Client.URL %.100q is not an absolute http or https URL", c.URL)
	case c.client().Timeout != 0:
		return fmt.Errorf("sse: the Timeout of Client.HTTPClient, %v, would end every stream; leave it 0 and use IdleTimeout, or the context", c.client().Timeout)
	}
	return nil
}

func (c *Client) client() *http.Client {
	if c.HTTPClient == nil {
		return http.DefaultClient
	}
	return c.HTTPClient
}

func (c *Client) method() string {
	switch {
	case c.Method != "":
		return c.Method
	case c.GetBody != nil:
		return http.MethodPost
	}
	return http.MethodGet
}

// request returns the next request.
func (c *Client) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if c.GetBody != nil {
		var err error
		if body, err = c.GetBody(); err != nil {
			return nil, fmt.Errorf("sse: Client.GetBody: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, c.method(), c.URL, body)
	if err != nil {
		return nil, fmt.Errorf("sse: %w", err)
	}
	if c.GetBody != nil && r.GetBody == nil { // for a redirect that repeats the method
		r.GetBody = func() (io.ReadCloser, error) {
			body, err := c.GetBody()
			if closer, ok := body.(io.ReadCloser); ok || err != nil {
				return closer, err
			}
			return io.NopCloser(body), nil
		}
	}
	if c.Header != nil {
		r.Header = c.Header.Clone()
	}
	setDefault(r.Header, "Accept", "text/event-stream")
	setDefault(r.Header, "Cache-Control", "no-cache") // what Fetch makes of the cache mode "no-store"
	r.Header.Del("Last-Event-ID")
	if id := c.LastEventID(); id != "" && (Event{ID: id}).check() == nil {
		r.Header.Set("Last-Event-ID", id)
	}
	if c.OnRequest != nil {
		if err := c.OnRequest(r); err != nil {
			return nil, fmt.Errorf("sse: Client.OnRequest: %w", err)
		}
	}
	return r, checkHeader(r.Header)
}

// checkHeader finds what net/http does not send. Its error looks like one of the
// network, after which the client would come back for ever.
func checkHeader(h http.Header) error {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // RFC 9110, section 5.6.2
	for name, values := range h {
		if name == "" || strings.Trim(name, token) != "" {
			return fmt.Errorf("sse: header name %.100q cannot be sent", name)
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("sse: the value of header %s cannot be sent: it has a control byte", name) // which may be a secret
			}
		}
	}
	return nil
}

// A connection is one request and its stream.
type connection struct {
	client  *Client
	ctx     context.Context
	silence *time.Timer // ends it, when armed; nil without an IdleTimeout
	body    io.Reader
	decoder *Decoder
}

// connect makes a request and yields the events of the answer. The error is a
// lostError if it is worth another attempt, nil if there is no more to come or
// the loop was left. It reports whether the connection worked.
func (c *Client) connect(ctx context.Context, yield func(Event) bool) (worked bool, err error) {
	attempt, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := c.request(attempt)
	if err != nil {
		return false, err
	}
	s := &connection{client: c, ctx: attempt}
	if c.IdleTimeout > 0 {
		s.silence = time.AfterFunc(c.IdleTimeout, func() {
			cancel(fmt.Errorf("sse: the server was silent for the IdleTimeout of %v: %w", c.IdleTimeout, os.ErrDeadlineExceeded))
		})
	}
	response, err := c.client().Do(r)
	s.listen(false)
	switch {
	case err != nil && response != nil: // a redirect that is not followed
		return false, fmt.Errorf("sse: %w", err)
	case err != nil:
		return false, s.lost(err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNoContent:
		return true, nil
	case !isStream(response):
		defer time.AfterFunc(errorBodyWait, func() { cancel(nil) }).Stop()
		return false, newResponseError(response)
	}
	opened := time.Now()
	c.setState(Open)
	if c.OnOpen != nil {
		c.OnOpen(response)
	}
	s.body = response.Body
	s.decoder = NewDecoder(s)
	s.decoder.LastEventID, s.decoder.Retry = c.LastEventID(), c.retry
	s.decoder.MaxEvent = c.MaxEvent
	s.decoder.OnComment = func(text string) {
		if c.OnComment != nil && ctx.Err() == nil {
			c.OnComment(text)
		}
	}
	for {
		e, err := s.decoder.Decode()
		if err != nil {
			s.note()
			if errors.Is(err, ErrTooLarge) {
				return false, err
			}
			return worked || time.Since(opened) >= cmp.Or(c.MaxRetry, defaultMaxRetry), s.lost(err)
		}
		if ctx.Err() != nil {
			return worked, nil // the event has not been seen, so its id is not noted
		}
		s.note()
		worked = true
		if !yield(e) {
			return worked, nil
		}
	}
}

// Read reads for the decoder, which has nothing left then: so whatever there is
// to see while it waits is to be seen.
func (s *connection) Read(p []byte) (int, error) {
	s.note()
	s.listen(true)
	n, err := s.body.Read(p)
	s.listen(false)
	return n, err
}

// listen starts the time that the server may be silent, or stops it.
func (s *connection) listen(on bool) {
	switch {
	case s.silence == nil:
	case on:
		s.silence.Reset(s.client.IdleTimeout)
	default:
		s.silence.Stop()
	}
}

// note makes known what the stream has told of its state.
func (s *connection) note() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.client.lastEventID, s.client.retry = s.decoder.LastEventID, s.decoder.Retry
}

// lost returns why the connection is lost.
func (s *connection) lost(err error) lostError {
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause // and not what net/http makes of it
	}
	return lostError{err}
}
