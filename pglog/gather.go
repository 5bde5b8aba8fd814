package pglog

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"example.org/sse/backplane"
)

const (
	gatherCalls = 1000    // in one request, at most
	gatherBytes = 4 << 20 // in one request; one more call may exceed it
)

// A gatherer gathers calls: while a request is in progress, the calls that come wait, and are
// the next request together. So the server locks a log, and waits for its disk, once for many.
type gatherer[Q, A any] struct {
	server *server
	// send makes one request. An error that is not final is followed by another attempt with
	// the calls that still wait, and must change nothing that has been done.
	send func(ctx context.Context, conn *pgx.Conn, calls []*call[Q, A]) error
	// after runs when a request has succeeded and its callers have their answers.
	after func(n int)

	mu      sync.Mutex
	waiting []*call[Q, A]
	running bool // a goroutine makes requests
}

// A call waits for its answer.
type call[Q, A any] struct {
	question Q
	size     int
	answer   A     // before done is closed, as is err
	err      error // that of the server
	done     chan struct{}

	sent bool // the request may have reached the server; guarded by gatherer.mu, as is left
	left bool // the caller no longer waits
}

// do asks a question. The size is that of its data.
func (g *gatherer[Q, A]) do(ctx context.Context, question Q, size int) (A, error) {
	c := &call[Q, A]{question: question, size: size, done: make(chan struct{})}
	if err := ctx.Err(); err != nil {
		return c.answer, err
	}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if !g.running {
		g.running = true
		go g.run() // until no call waits
	}
	g.mu.Unlock()
	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c.left = true
	if c.sent {
		return c.answer, fmt.Errorf("%s: %w: %w", g.server.what, backplane.ErrIndeterminate, ctx.Err())
	}
	return c.answer, fmt.Errorf("%s: %w", g.server.what, ctx.Err())
}

// run makes requests until no call waits.
func (g *gatherer[Q, A]) run() {
	for {
		g.mu.Lock()
		calls := g.takeLocked()
		if len(calls) == 0 {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		g.request(calls)
	}
}

// takeLocked takes the calls of the next request.
func (g *gatherer[Q, A]) takeLocked() (calls []*call[Q, A]) {
	n, size := 0, 0
	for n < len(g.waiting) && n < gatherCalls && size < gatherBytes {
		size += g.waiting[n].size
		n++
	}
	calls = slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return slices.DeleteFunc(calls, func(c *call[Q, A]) bool { return c.left })
}

// request makes one request, until it is answered or its callers have left. No caller's
// context can end it: the others still wait.
func (g *gatherer[Q, A]) request(calls []*call[Q, A]) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	unknown, err := g.server.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		g.mu.Lock()
		calls = slices.DeleteFunc(calls, func(c *call[Q, A]) bool { return c.left })
		for _, c := range calls {
			c.sent = true
		}
		g.mu.Unlock()
		if len(calls) == 0 {
			return nil
		}
		return g.send(ctx, conn, calls)
	})
	if unknown {
		err = fmt.Errorf("%w: %w", backplane.ErrIndeterminate, err)
	}
	for _, c := range calls {
		if err != nil {
			c.err = err
		}
		close(c.done)
	}
	if err == nil && g.after != nil && len(calls) > 0 {
		g.after(len(calls))
	}
}

// A notifier notifies other processes, one call at a time: those that come meanwhile are one.
type notifier struct {
	server *server

	mu      sync.Mutex
	running bool
	again   bool
}

// notify wakes the followers in this process, and then those in others. It does not wait for
// that. The notification has a transaction of its own: one that changes something as well
// would keep every other transaction that notifies waiting for its disk.
func (n *notifier) notify() {
	n.server.topic.wake()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running {
		n.again = true
		return
	}
	n.running = true
	go n.run()
}

func (n *notifier) run() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		_, _ = n.server.attempt(ctx, func(ctx context.Context, conn *pgx.Conn) error { // a follower that hears nothing asks
			return n.server.exec(ctx, conn, "SELECT pg_catalog.pg_notify($1, $2)", n.server.schema, n.server.payload)
		})
		cancel()
		n.mu.Lock()
		if !n.again {
			n.running = false
			n.mu.Unlock()
			return
		}
		n.again = false
		n.mu.Unlock()
	}
}
