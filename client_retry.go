package sse

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	defaultRetry    = 3 * time.Second // as in Chromium
	defaultMaxRetry = 30 * time.Second
	minRetry        = 100 * time.Millisecond
)

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
		if !c.reconnects(lost) {
			return c.final(lost)
		}
		if failures++; worked {
			failures = 0
		}
		c.pause(ctx, lost, failures)
	}
	return context.Cause(ctx)
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
	c.opened = c.opened || state == Open
}

// reconnects reports whether another request may follow. RFC 9110 (section 9.2.2)
// allows that for methods that are idempotent, or if the program knows better.
func (c *Client) reconnects(lost lostError) bool {
	method := strings.ToUpper(c.method()) // some servers take "post" for it
	idempotent := method != http.MethodPost && method != http.MethodPatch
	return c.Retry >= 0 && (idempotent || c.RepeatPost || lost.unsent)
}

// pause waits until it is time to reconnect, or the context is done.
func (c *Client) pause(ctx context.Context, lost lostError, failures int) {
	c.setState(Connecting)
	wait := c.wait(failures, lost.atLeast)
	if c.OnError != nil {
		c.OnError(lost.error, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait returns how long to wait after a number of failures in a row.
func (c *Client) wait(failures int, atLeast time.Duration) time.Duration {
	base := cmp.Or(c.Retry, defaultRetry)
	if c.retry >= 0 {
		base = c.retry
	}
	base = max(base, minRetry)
	limit := cmp.Or(c.MaxRetry, defaultMaxRetry)
	for ; failures > 1 && base < limit; failures-- {
		base += min(base, limit-base)
	}
	base = max(base, atLeast)
	return base + min(rand.N(base/2+1), math.MaxInt64-base)
}
