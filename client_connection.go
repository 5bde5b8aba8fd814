package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A connection is one request and its stream.
type connection struct {
	client  *Client
	loop    context.Context // the loop's context
	ctx     context.Context // the request's context, which ends with the loop's
	cancel  context.CancelCauseFunc
	silence *time.Timer // cancels ctx, when armed; nil without an IdleTimeout
	opened  time.Time
	body    io.Reader
	decoder *Decoder
}

// connect sends a request and yields the events of the response. worked reports
// whether the connection succeeded, so that the wait before the next attempt is
// short. The error is a lostError if another attempt is worthwhile, and nil if
// there are no more events or the loop was left.
func (c *Client) connect(ctx context.Context, yield func(Event) bool) (worked bool, err error) {
	s := &connection{client: c, loop: ctx}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	request, err := c.request(s.ctx)
	if err != nil {
		return false, err
	}
	response, err := s.send(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNoContent:
		return true, nil
	case !isStream(response):
		return false, s.refused(response)
	}
	s.open(response)
	return s.events(yield)
}

// send sends the request. The server's silence counts from here on, and the
// program's time for its hooks does not.
func (s *connection) send(request *http.Request) (*http.Response, error) {
	if idle := s.client.IdleTimeout; idle > 0 {
		s.silence = time.AfterFunc(idle, func() {
			s.cancel(fmt.Errorf("sse: the server was silent for the IdleTimeout of %v: %w", idle, os.ErrDeadlineExceeded))
		})
	}
	client := *s.client.httpClient()
	h := &hops{RoundTripper: cmp.Or(client.Transport, http.DefaultTransport)}
	client.Transport = h
	response, err := client.Do(request)
	s.listen(false)
	if err != nil {
		return nil, s.failed(err, h)
	}
	return response, nil
}

// open begins to read a stream, where the client's last one ended.
func (s *connection) open(response *http.Response) {
	c := s.client
	s.opened = time.Now()
	c.setState(Open)
	if c.OnOpen != nil {
		c.OnOpen(response)
	}
	s.body = response.Body
	s.decoder = NewDecoder(s)
	s.decoder.LastEventID, s.decoder.Retry = c.LastEventID(), c.retry
	s.decoder.MaxEvent = c.MaxEvent
	s.decoder.OnComment = func(text string) {
		if c.OnComment != nil && s.loop.Err() == nil {
			c.OnComment(text)
		}
	}
}

// events yields the events of the stream. It returns as connect does.
func (s *connection) events(yield func(Event) bool) (worked bool, err error) {
	for {
		e, err := s.decoder.Decode()
		if err != nil {
			s.publish()
			if errors.Is(err, ErrTooLarge) {
				return false, err
			}
			lasted := time.Since(s.opened) >= cmp.Or(s.client.MaxRetry, defaultMaxRetry)
			return worked || lasted, s.lost(err)
		}
		if s.loop.Err() != nil {
			return worked, context.Cause(s.loop) // the program has not seen the event, so its id is not published
		}
		s.publish()
		worked = true
		if !yield(e) {
			return worked, nil
		}
	}
}

// Read reads for the decoder, which has used up the bytes before. What they
// changed is published first, since the read may block.
func (s *connection) Read(p []byte) (int, error) {
	s.publish()
	s.listen(true)
	n, err := s.body.Read(p)
	s.listen(false)
	return n, err
}

// listen starts or stops the timer for the server's silence.
func (s *connection) listen(on bool) {
	switch {
	case s.silence == nil:
	case on:
		s.silence.Reset(s.client.IdleTimeout)
	default:
		s.silence.Stop()
	}
}

// publish copies the last event ID and the reconnection time to the client.
func (s *connection) publish() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.client.lastEventID, s.client.retry = s.decoder.LastEventID, s.decoder.Retry
}
