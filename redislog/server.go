package redislog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
)

const (
	requestTimeout = 2 * time.Second // for one attempt
	openTimeout    = 10 * time.Second
	pause          = 20 * time.Millisecond // before the second attempt; then twice as long, and so on
	longestPause   = time.Second
	lookEvery      = time.Second // without having been woken: messages get lost

	// idWindow is how long an id, or a call of Swap, is remembered. A change is
	// tried for half of it: so long an attempt that is late is still recognized.
	idWindow  = 2 * time.Minute
	tryChange = idWindow / 2

	batchBytes = 1 << 20 // that one request asks for; what it gets may be twice the largest entry more
)

// A server is what a Log and a Store have in common: the caller's client, and
// what is under way.
type server struct {
	client redis.UniversalClient
	what   string // for errors
	key    string // of the log or the store; that of anything else begins with it

	closing chan struct{}

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // Add is called with mu held, and not once closed
}

// init sets the fields for the log or the store of a name.
func (s *server) init(client redis.UniversalClient, kind, space, name string) error {
	if space == "" {
		space = "sse"
	}
	s.client = client
	s.what = fmt.Sprintf("redislog: %s %q", kind, name)
	switch {
	case client == nil:
		return errors.New("redislog: no client")
	case name == "" || len(name) > backplane.MaxKey || len(space) > backplane.MaxKey:
		return fmt.Errorf("%s: %w: its name and space have 1 to %d bytes", s.what, backplane.ErrTooLarge, backplane.MaxKey)
	}
	// Escaped, so that neither a colon nor a brace of theirs means anything. What
	// is in the braces decides where a cluster has the key.
	s.key = "{" + url.QueryEscape(space) + "}:" + kind + ":" + url.QueryEscape(name)
	s.closing = make(chan struct{})
	return nil
}

// start runs f in a goroutine that close waits for, unless it has been called.
func (s *server) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
}

func (s *server) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.running.Wait()
}

// over returns why a call has to end: the context's error, or ErrClosed.
func (s *server) over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return fmt.Errorf("%s: %w", s.what, backplane.ErrClosed)
	default:
		return nil
	}
}

// A request is a script with what it is run with, or PING without one.
type request struct {
	script *redis.Script
	keys   []string
	args   []any
}

func (r request) run(ctx context.Context, client redis.UniversalClient) (any, error) {
	if r.script == nil {
		return client.Ping(ctx).Result()
	}
	return r.script.Run(ctx, client, r.keys, r.args...).Result()
}

// attempt runs a script once. It returns at the end of the request's time, or of
// the context, even though the client may heed neither: what it does then goes on
// until the client's own timeouts.
func (s *server) attempt(ctx context.Context, r request) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	type result struct {
		reply any
		err   error
	}
	done := make(chan result, 1)
	if !s.start(func() {
		reply, err := r.run(ctx, s.client)
		done <- result{reply, err}
	}) {
		return nil, backplane.ErrClosed
	}
	select {
	case r := <-done:
		return r.reply, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.closing:
		return nil, backplane.ErrClosed
	}
}

// do runs a script until the server has answered, the context is done, the time
// is over (0: it never is), or all is closed. Should the server not have
// answered, known reports whether that is because it was never asked.
//
// A script is to be one that changes nothing when it is run again.
func (s *server) do(ctx context.Context, limit time.Duration, r request) (reply any, known bool, err error) {
	began := time.Now()
	known = true
	for wait := pause; ; wait = min(2*wait, longestPause) {
		if err := s.over(ctx); err != nil {
			return nil, known, err
		}
		reply, err = s.attempt(ctx, r)
		switch {
		case err == nil:
			return reply, true, nil
		case errors.Is(err, redis.ErrClosed):
			return nil, known, fmt.Errorf("%s: %w: the client has been", s.what, backplane.ErrClosed)
		case refused(err):
			return nil, known, fmt.Errorf("%s: the server refuses: %w", s.what, err)
		}
		known = false
		if over := s.over(ctx); over != nil {
			return nil, false, fmt.Errorf("%w; %s: %w", over, s.what, err)
		}
		if limit > 0 && time.Since(began)+wait > limit {
			return nil, false, fmt.Errorf("%s: %w; %w", s.what, context.DeadlineExceeded, err)
		}
		s.sleep(ctx, wait, nil)
	}
}

// change is do for what changes something.
func (s *server) change(ctx context.Context, r request) (any, error) {
	reply, known, err := s.do(ctx, tryChange, r)
	if err != nil && !known {
		return nil, fmt.Errorf("%w: %w", backplane.ErrUnknown, err)
	}
	return reply, err
}

// open asks whether the server is there, and whether it does what is needed.
func (s *server) open(ctx context.Context, r request) error {
	// PING first: what a server says to that is about the client, and clearer.
	for _, r := range []request{{}, r} {
		if _, _, err := s.do(ctx, openTimeout, r); err != nil {
			return fmt.Errorf("cannot be opened: %w", err)
		}
	}
	return nil
}

// refused reports whether the server has said no, and will say so again.
func refused(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	switch word {
	case "LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
		"NOREPLICAS", "NOSCRIPT", "OOM", "MISCONF", "UNKILLABLE":
		return false
	}
	// A script says so of what happens in it.
	for _, later := range []string{"-OOM ", "-READONLY ", "-MISCONF ", "-NOREPLICAS ", "max number of clients"} {
		if strings.Contains(reply.Error(), later) {
			return false
		}
	}
	return true
}

// sleep waits, for a while at most, to be woken.
func (s *server) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	case <-s.closing:
	}
}

// listen returns a channel that receives whenever somebody has published
// something, and whenever that may have been missed, until the context is done.
func (s *server) listen(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	s.start(func() {
		messages := s.client.Subscribe(ctx, s.key)
		// Subscriptions too: with each one a connection begins, before which
		// messages may have been lost.
		received := messages.ChannelWithSubscriptions(redis.WithChannelSize(1))
		defer func() {
			_ = messages.Close() // not to be used any more, whatever it says
			for range received { // until its goroutine has ended
				continue
			}
		}()
		for {
			select {
			case _, ok := <-received:
				if !ok {
					return // the client has been closed
				}
				select {
				case wake <- struct{}{}:
				default: // it is to wake up already
				}
			case <-ctx.Done():
				return
			case <-s.closing:
				return
			}
		}
	})
	return wake
}

// Permissions are
var Permissions = []string{
	"~{sse}:*", "&{sse}:*",
	"+ping", "+subscribe", "+eval", "+evalsha", "+publish", "+time", "+get", "+set",
	"+xadd", "+xlen", "+xrange", "+xrevrange", "+xtrim",
	"+hget", "+hset", "+hdel", "+hscan", "+zadd", "+zrem", "+zrange", "+zrangebyscore", "+zscore",
}
