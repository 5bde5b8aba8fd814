package redislog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
)

const (
	requestTimeout = 2 * time.Second       // for one attempt
	pause          = 20 * time.Millisecond // before the second attempt; then twice as long, and so on
	longestPause   = time.Second
	lookEvery      = time.Second // without having been woken: messages get lost
	stopTimeout    = 100 * time.Millisecond

	// An id is recognized for two minutes from the first call with it. The last
	// call within them may go on for longest, and the server counts from when it
	// has added the first.
	idWindow = 2*time.Minute + longest
	longest  = time.Minute

	batchBytes = 1 << 20 // that one request asks for; what it gets may be twice the largest entry more
)

// A server is what a Log and a Store have in common: the caller's client.
type server struct {
	client redis.UniversalClient
	what   string // for errors
	key    string // of the log or the store; that of anything else begins with it
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
		return fmt.Errorf("%s: %w: its name and space have 1 to %d bytes", s.what, backplane.ErrSize, backplane.MaxKey)
	}
	// Escaped, so that neither a colon nor a brace of theirs means anything. What
	// is in the braces decides where a cluster has the key.
	s.key = "{" + url.QueryEscape(space) + "}:" + kind + ":" + url.QueryEscape(name)
	return nil
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

// attempt asks once. It returns at the end of the request's time, or of the
// context, even though the client may heed neither. The request is the client's
// then, and goes on until the client's timeouts, or until it is closed.
func (s *server) attempt(ctx context.Context, r request) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	type answer struct {
		reply any
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := r.run(ctx, s.client)
		answers <- answer{reply, err}
	}()
	select {
	case a := <-answers:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// do asks until the server has answered, the context is done, or the time is over
// (0: it never is). Should there be no answer, known reports whether that is
// because the server was never asked.
//
// The request is to be one that changes nothing when it is repeated.
func (s *server) do(ctx context.Context, limit time.Duration, r request) (reply any, known bool, err error) {
	began := time.Now()
	known = true
	for wait := pause; ; wait = min(2*wait, longestPause) {
		if err := ctx.Err(); err != nil {
			return nil, known, err
		}
		reply, err = s.attempt(ctx, r)
		switch {
		case err == nil:
			return reply, true, nil
		case errors.Is(err, redis.ErrClosed):
			return nil, known, fmt.Errorf("%s: %w: its client has been", s.what, backplane.ErrClosed)
		case refused(err):
			return nil, known, fmt.Errorf("%s: the server refuses: %w", s.what, err)
		}
		known = false
		if limit > 0 && time.Since(began)+wait > limit {
			return nil, false, fmt.Errorf("%s: %w after %v: %w", s.what, context.DeadlineExceeded, limit, err)
		}
		if sleep(ctx, wait, nil); ctx.Err() != nil {
			return nil, false, fmt.Errorf("%s: %w: %w", s.what, ctx.Err(), err)
		}
	}
}

// change is do for what changes something.
func (s *server) change(ctx context.Context, r request) (any, error) {
	reply, known, err := s.do(ctx, longest, r)
	if err != nil && !known {
		return nil, fmt.Errorf("%w: %w", backplane.ErrIndeterminate, err)
	}
	return reply, err
}

// open asks whether the server is there, and whether it does what is needed.
func (s *server) open(ctx context.Context, r request) error {
	// PING first: what a server says to that is about the client, and clearer.
	for _, r := range []request{{}, r} {
		if _, _, err := s.do(ctx, 0, r); err != nil {
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
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// listen returns a channel that receives whenever somebody has published
// something, and whenever that may have been missed. stop ends it.
func (s *server) listen(ctx context.Context) (wake <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	woken := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
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
				case woken <- struct{}{}:
				default: // it is to wake up already
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return woken, func() {
		cancel()
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C: // the client is connecting, and cannot be interrupted
		}
	}
}
