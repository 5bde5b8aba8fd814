package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	defaultRetry    = 3 * time.Second // as in Chromium
	defaultMaxRetry = 30 * time.Second
	minRetry        = 100 * time.Millisecond
)

// A lostError is the end of a connection after which the client reconnects.
type lostError struct{ error }

// run connects and reconnects until there is a reason not to, which it returns.
// Everything is closed when it returns.
func (c *Client) run(ctx context.Context, yield func(Event) bool) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := c.check(); err != nil {
		return err
	}
	for failures := 0; ctx.Err() == nil; {
		worked, err := c.connect(ctx, yield)
		if ctx.Err() != nil {
			break
		}
		var lost lostError
		if !errors.As(err, &lost) {
			return err
		}
		if !c.reconnects() {
			return lost.final()
		}
		if failures++; worked {
			failures = 0
		}
		c.pause(ctx, lost.error, failures)
	}
	return context.Cause(ctx)
}

// final returns the error of the loop if the client does not reconnect.
func (e lostError) final() error {
	if e.error == io.EOF { //nolint:errorlint // the end of the stream; an error that wraps it is a failure
		return nil
	}
	return fmt.Errorf("sse: stream failed (not retried): %w", e.error)
}

// begin and end are called at the beginning and the end of a loop.
func (c *Client) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		return errors.New("sse: a loop over Client.Events is already running; use one Client for each loop")
	}
	if !c.began {
		c.began, c.lastEventID, c.retry = true, c.ResumeAfter, -1
	}
	c.running, c.state = true, Connecting
	return nil
}

func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.state = false, Closed
}

func (c *Client) setState(state ReadyState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

// reconnects reports whether another request may follow the first.
func (c *Client) reconnects() bool {
	method := c.method()
	once := (method == http.MethodPost || method == http.MethodPatch) && c.GetBody == nil
	return c.Retry >= 0 && !once
}

// pause waits until it is time to reconnect, or the context is done.
func (c *Client) pause(ctx context.Context, lost error, failures int) {
	c.setState(Connecting)
	wait := c.wait(failures)
	if c.OnError != nil {
		c.OnError(lost, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait returns how long to wait after a number of failures in a row.
func (c *Client) wait(failures int) time.Duration {
	base := cmp.Or(c.Retry, defaultRetry)
	if c.retry >= 0 {
		base = c.retry
	}
	base = max(base, minRetry)
	limit := cmp.Or(c.MaxRetry, defaultMaxRetry)
	for ; failures > 1 && base < limit; failures-- {
		base += min(base, limit-base)
	}
	return base + min(rand.N(base/2+1), math.MaxInt64-base)
}
