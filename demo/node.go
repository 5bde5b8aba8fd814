package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/backplane"
	"example.org/sse/natslog"
)

// share makes this process one of several, which together are one site: what is
// dispatched to the board goes to the pages of all, and who is here, and who edits
// what, is the same everywhere. That is all there is to it; the processes have to
// have one key for the pages' tokens as well, which is in the board's file.
func (a *app) share(node string, l backplane.Log, s backplane.Store) {
	a.streams.node = node
	a.streams.shared.Log = l
	a.people.Store, a.people.Name = s, "people"
	a.locks.Store, a.locks.Name, a.locks.Hub = s, "cards", &a.streams.shared
}

// join is share over a NATS server. The function that it returns is to be called
// when all else has ended.
func (a *app) join(ctx context.Context, url, node string) (leave func(), err error) {
	log.SetPrefix("node " + node + ": ")
	nc, err := nats.Connect(url, natslog.ConnOptions()...)
	if err != nil {
		return nil, fmt.Errorf("NATS at %s: %w", url, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // it may be about to start
	defer cancel()
	l, err := natslog.Open(ctx, nc, "demo", nil)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("NATS at %s: %w", url, err)
	}
	s, err := natslog.OpenStore(ctx, nc, "demo", nil)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("NATS at %s: %w", url, err)
	}
	a.share(node, l, s)
	return nc.Close, nil
}

// ready tells who deals out the requests whether this node should have any: it must
// have what a page may have missed that was served by another. Alone it has all.
func (a *app) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := a.streams.shared.WaitReady(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
