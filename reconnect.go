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
	defaultRetry    = 3 * time.Second // as Chromium
	defaultMaxRetry = 30 * time.Second
	minRetry        = 100 * time.Millisecond
)

// A lostError is the end of a connection after which the client comes back.
type lostError struct{ error }

// run makes connections until there is a reason not to, which it returns. When
// it does, everything is closed.
func (c *Client) run(ctx context.Context, yield func(Event) bool) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.finish()
	if err := c.check(); err != nil {
		return err
	}
	for failures := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		worked, err := c.connect(ctx, yield)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var lost lostError
		if !errors.As(err, &lost) {
			return err
		}
		err = lost.error
		if !c.comesBack() {
			if err == io.EOF { //nolint:errorlint // a reader's end; one that is wrapped is a failure
				return nil
			}
			return fmt.Errorf("sse: the stream failed and is not asked for again: %w", err)
		}
		if failures++; worked {
			failures = 0
		}
		c.setState(Connecting)
		wait := c.wait(failures)
		if c.OnError != nil {
			c.OnError(err, wait)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// begin and finish bracket a loop.
func (c *Client) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		return errors.New("sse: a loop over this Client's Events runs already; use a Client for each")
	}
	if !c.began {
		c.began, c.lastEventID, c.retry = true, c.ResumeAfter, -1
	}
	c.running, c.state = true, Connecting
	return nil
}

func (c *Client) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.state = false, Closed
}

func (c *Client) setState(state ReadyState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

// comesBack reports whether another request may follow the first.
func (c *Client) comesBack() bool {
	method := c.method()
	once := (method == http.MethodPost || method == http.MethodPatch) && c.GetBody == nil
	return c.Retry >= 0 && !once
}

// wait returns how long to wait after so many failures in a row.
func (c *Client) wait(failures int) time.Duration {
	base := cmp.Or(c.Retry, defaultRetry)
	if c.retry >= 0 {
		base = c.retry
	}
	base = max(base, minRetry)
	most := cmp.Or(c.MaxRetry, defaultMaxRetry)
	for ; failures > 1 && base < most; failures-- {
		base += min(base, most-base)
	}
	return base + min(rand.N(base/2+1), math.MaxInt64-base)
}
