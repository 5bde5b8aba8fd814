package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse/demo/board"
	"example.org/sse/natslog"
)

var errNoNATS = errors.New("-node needs -nats, the URL of the NATS server of all nodes, or -postgres")

// runNode runs one node until ctx is done or the process is interrupted.
func runNode(ctx context.Context, c config) error {
	log.SetPrefix("node " + c.node + ": ")
	if c.nats == "" && c.postgres == "" {
		return errNoNATS
	}
	app, err := c.open(ctx)
	if err != nil {
		return err
	}
	if c.postgres != "" {
		return errors.Join(app.ListenAndServe(ctx, c.addr), app.Close())
	}
	nc, err := share(ctx, app, c)
	if err != nil {
		return errors.Join(fmt.Errorf("NATS server %s: %w", c.nats, err), app.Close())
	}
	err = app.ListenAndServe(ctx, c.addr)
	nc.Close()
	return errors.Join(err, app.Close())
}

// share makes the App a node of those that are connected to the NATS server.
func share(ctx context.Context, app *board.App, c config) (*nats.Conn, error) {
	nc, err := nats.Connect(c.nats, natslog.ConnOptions()...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // the server may be starting
	defer cancel()
	l, err := natslog.Open(ctx, nc, "demo", nil)
	if err != nil {
		nc.Close()
		return nil, err
	}
	s, err := natslog.OpenStore(ctx, nc, "demo", nil)
	if err != nil {
		nc.Close()
		return nil, err
	}
	app.Share(c.node, l, s)
	return nc, nil
}
