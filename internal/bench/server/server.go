//go:build linux

// Package server is the process that is measured: one subject, and a goroutine
// that dispatches what the driver tells it to.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"example.org/sse/internal/bench/control"
	"example.org/sse/internal/bench/machine"
	"example.org/sse/internal/bench/subject"
)

// spare is how many descriptors a server has for other things than streams.
const spare = 100

// Run serves the subject, and does what it is told until in ends.
func Run(ctx context.Context, s subject.Subject, in io.Reader, out io.Writer) error {
	if err := machine.RaiseFileLimit(spare); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	running, err := s.Start(l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := warmUp(ctx, l.Addr().String()); err != nil {
		return err
	}
	d := newDispatcher(running)
	go d.run(ctx)
	w := control.NewWriter(out)
	if err := w.Write(control.Reply{Addr: l.Addr().String()}); err != nil {
		return err
	}
	for requests := json.NewDecoder(in); ; {
		var r control.Request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var reply control.Reply
		switch r.Op {
		case control.Dispatch:
			d.order(r.Event, r.Size)
			continue
		case control.Greet:
			d.greet()
			continue
		case control.Begin:
			d.forget()
		case control.Usage:
			reply.Usage = d.usage()
			reply.Error = d.failure()
		case control.Memory:
			if reply.Memory, err = memory(); err != nil {
				return err
			}
		case control.Shutdown:
			ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Patience))
			if err := running.Shutdown(ctx); err != nil {
				reply.Error = err.Error()
			}
			cancel()
		default:
			return fmt.Errorf("a server can not %q", r.Op)
		}
		if err := w.Write(reply); err != nil {
			return err
		}
	}
}

// warmUp has a few clients come and go, so that what a server needs once is not
// taken for the memory of streams. It does not matter if they are refused.
func warmUp(ctx context.Context, addr string) error {
	for range 20 {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"); err == nil {
			err = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if err == nil {
				_, _ = conn.Read(make([]byte, 512)) // some send nothing before the first event
			}
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// memory gives all garbage back before it measures.
func memory() (*control.MemoryReply, error) {
	debug.FreeOSMemory()
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	m := &control.MemoryReply{
		Heap:   int64(samples[0].Value.Uint64()),
		Stacks: int64(samples[1].Value.Uint64()),
	}
	var err error
	if m.Resident, err = machine.Resident(); err != nil {
		return nil, err
	}
	m.Sockets, err = machine.Sockets()
	return m, err
}
