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
	pause          = 20 * time.Millisecond // before the second attempt; doubled before each further one
	maxPause       = time.Second
	pollInterval   = time.Second // without a message: messages can get lost
	stopTimeout    = 100 * time.Millisecond

	// An id is recognized for two minutes from the first call with it. The last call
	// within that time may take up to callTimeout, and the server measures from when it
	// has added the first entry.
	idWindow    = 2*time.Minute + callTimeout
	callTimeout = time.Minute

	batchBytes = 1 << 20 // requested per read; the reply may exceed it by twice the largest entry
)

// A server is the common part of a Log and a Store: the caller's client.
type server struct {
	client redis.UniversalClient
	what   string // prefix of errors
	key    string // of the log or the store, and prefix of all its other keys
}

// init sets the fields for the log or the store of the given name.
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
		return fmt.Errorf("%s: %w: its name and space must have 1 to %d bytes", s.what, backplane.ErrSize, backplane.MaxKey)
	}
	// Name and space are escaped, so that a colon or a brace in them has no meaning. A
	// cluster chooses the key's server by the text in the braces.
	s.key = "{" + url.QueryEscape(space) + "}:" + kind + ":" + url.QueryEscape(name)
	return nil
}

// A request is a script with its keys and arguments, or PING if the script is nil.
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

// attempt sends the request once. It returns when the request's time is over or the context
// ends, even if the client obeys neither. The client may then continue the request until its
// own timeouts, or until it is closed.
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

// do sends the request until the server answers, the context ends, or the limit has passed
// (0: no limit). If there is no answer, known reports whether the request was certainly not
// executed.
//
// Repeating the request must change nothing.
func (s *server) do(ctx context.Context, limit time.Duration, r request) (reply any, known bool, err error) {
	began := time.Now()
	known = true
	for wait := pause; ; wait = min(2*wait, maxPause) {
		if err := ctx.Err(); err != nil {
			return nil, known, err
		}
		reply, err = s.attempt(ctx, r)
		switch {
		case err == nil:
			return reply, true, nil
		case errors.Is(err, redis.ErrClosed):
			return nil, known, fmt.Errorf("%s: %w: the client was closed", s.what, backplane.ErrClosed)
		case refused(err):
			return nil, known, fmt.Errorf("%s: refused by the server: %w", s.what, err)
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

// change is like do, for a request that changes something.
func (s *server) change(ctx context.Context, r request) (any, error) {
	reply, known, err := s.do(ctx, callTimeout, r)
	if err != nil && !known {
		return nil, fmt.Errorf("%w: %w", backplane.ErrIndeterminate, err)
	}
	return reply, err
}

// open checks that the server answers, and that it executes the request.
func (s *server) open(ctx context.Context, r request) error {
	// PING first: its errors are about the connection, and clearer.
	for _, r := range []request{{}, r} {
		if _, _, err := s.do(ctx, 0, r); err != nil {
			return err
		}
	}
	return s.checkEviction(ctx)
}

// checkEviction refuses a server that may remove parts of the log or the store. A user
// without permission for INFO has to know.
func (s *server) checkEviction(ctx context.Context) error {
	info, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return nil //nolint:nilerr // the check is for those who can make it
	}
	value := func(name string) string {
		_, rest, _ := strings.Cut(info, "\n"+name+":")
		value, _, _ := strings.Cut(rest, "\r")
		return value
	}
	if policy := value("maxmemory_policy"); policy != "noeviction" && policy != "" && value("maxmemory") != "0" {
		return fmt.Errorf("%s: open: the server's maxmemory-policy is %s, with a limit of %s bytes: it may remove entries; set noeviction", s.what, policy, value("maxmemory"))
	}
	return nil
}

// refused reports whether the server has refused the request, and would refuse it again.
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
	// A script reports the errors of its commands in its own error.
	for _, later := range []string{"-OOM ", "-READONLY ", "-MISCONF ", "-NOREPLICAS ", "max number of clients"} {
		if strings.Contains(reply.Error(), later) {
			return false
		}
	}
	return true
}

// sleep waits until it is woken, d has passed, or the context ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// listen returns a channel that receives after a message was published, and when a message
// may have been missed. stop ends it.
func (s *server) listen(ctx context.Context) (wake <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	woken := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		messages := s.client.Subscribe(ctx, s.key)
		// Subscriptions too: each one starts a connection, before which messages may
		// have been lost.
		received := messages.ChannelWithSubscriptions(redis.WithChannelSize(1))
		defer func() {
			_ = messages.Close() // not used again, even if this fails
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
				default: // it is about to wake up already
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
		case <-timer.C: // the client is connecting and cannot be interrupted
		}
	}
}
