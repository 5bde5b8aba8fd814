//go:build linux

// Package client is the process that plays all clients of a server: it opens
// the streams, checks that each of them gets every event once and in order, and
// keeps the time at which the last of them had it. It has to be cheap, since it
// shares the machine with the server that is measured.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"example.org/sse/internal/bench/control"
	"example.org/sse/internal/bench/machine"
)

// readers is how many goroutines read HTTP/1.1 connections. One that is late
// delays half of the clients; more of them would fight over two cores.
const readers = 2

// Run does what it is told until in ends.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := control.NewWriter(out)
	var t *tally
	for requests := json.NewDecoder(in); ; {
		var r control.Request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var reply control.Reply
		switch {
		case r.Op == control.Open && t == nil:
			var err error
			if t, err = open(ctx, r); err != nil {
				return err
			}
			go tell(ctx, t, w)
		case r.Op == control.Report && t != nil:
			reply.Report = t.report(r.Event)
		default:
			return fmt.Errorf("a client can not %q now", r.Op)
		}
		if err := w.Write(reply); err != nil {
			return err
		}
	}
}

// tell writes how far the clients are whenever that changes, but not more often
// than the driver can read it.
func tell(ctx context.Context, t *tally, w *control.Writer) {
	for {
		select {
		case <-t.changed:
		case <-ctx.Done():
			return
		}
		if w.Write(control.Reply{Progress: t.progress()}) != nil {
			return // the driver is gone, and Run finds out as well
		}
	}
}

// open opens all streams.
func open(ctx context.Context, r control.Request) (*tally, error) {
	addr, err := netip.ParseAddrPort(r.Addr)
	if err != nil {
		return nil, err
	}
	if err := machine.RaiseFileLimit(r.Streams + r.Stalled + 100); err != nil {
		return nil, err
	}
	if r.HTTP2 {
		t := newTally(r.Streams)
		if err := openHTTP2(ctx, r.Addr, r.Streams, 0, t.readBody); err != nil {
			return nil, err
		}
		return t, openHTTP2(ctx, r.Addr, r.Stalled, stalledWindow, func(int, io.Reader) { <-ctx.Done() })
	}
	n := min(readers, r.Streams)
	t := newTally(n)
	var opened sync.WaitGroup
	all, errs := make([]*reader, n), make([]error, n)
	for i := range n {
		opened.Go(func() {
			first, next := r.Streams*i/n, r.Streams*(i+1)/n
			all[i], errs[i] = newReader(t, addr, first, next-first)
		})
	}
	opened.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for range r.Stalled {
		if err := stall(addr); err != nil {
			return nil, err
		}
	}
	for _, reader := range all {
		go reader.run()
	}
	return t, nil
}
