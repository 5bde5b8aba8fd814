//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"example.org/sse/internal/bench/process"
)

// A Plan says what to measure.
type Plan struct {
	Streams int
	Sizes   []int // of a page
	Rounds  int   // the subjects take turns
	Pages   int   // in a round
	Rivals  bool  // or only this package
}

// patience is how long a server may be busy.
const patience = time.Minute

// Run measures and writes a table for each size.
func (p Plan) Run(ctx context.Context, w io.Writer) error {
	if err := process.RaiseFileLimit(2 * p.Streams); err != nil {
		return err
	}
	for _, size := range p.Sizes {
		if err := p.table(ctx, w, size); err != nil {
			return err
		}
	}
	return nil
}

// A session is a server with its clients.
type session struct {
	name     string
	server   *process.Process
	received atomic.Int64
	resident float64 // KiB for each stream
	cpu      []float64
	ratio    []float64
	bytes    []float64
}

func (p Plan) table(ctx context.Context, w io.Writer, size int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var sessions []*session
	for i, subject := range subjects {
		if !p.Rivals && subject.rival {
			continue
		}
		s, err := p.open(ctx, i, size)
		if s != nil {
			defer s.server.Kill()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", subject.name, err)
		}
		sessions = append(sessions, s)
	}
	for range p.Rounds {
		for _, s := range sessions {
			if err := p.round(s, size); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			last := len(s.cpu) - 1
			s.ratio = append(s.ratio, s.cpu[last]/sessions[0].cpu[last])
		}
	}
	text := fmt.Appendf(nil, "\n%d streams, pages of %d bytes; CPU and bytes for an event and stream\n\n", p.Streams, size)
	text = append(text, "| | CPU | beside identity | bytes | memory of a stream |\n|---|---|---|---|---|\n"...)
	for _, s := range sessions {
		text = fmt.Appendf(text, "| %s | %.1f µs | %.2f | %.0f | %.1f KiB |\n", s.name, median(s.cpu), median(s.ratio), median(s.bytes), s.resident)
	}
	_, err := w.Write(text)
	return err
}

// open starts a server and its clients, and lets it compress for the first time.
func (p Plan) open(ctx context.Context, subject, size int) (*session, error) {
	s := &session{name: subjects[subject].name}
	var err error
	if s.server, err = process.StartPart(ctx, "", "server"); err != nil {
		return nil, err
	}
	var addr string
	if err := s.server.Call(patience, "Start", subject, &addr); err != nil {
		return s, err
	}
	before, _, err := s.server.Memory()
	if err != nil {
		return s, err
	}
	for range p.Streams {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return s, err
		}
		context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // nothing is left to do for it
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: %s\r\n\r\n", subjects[subject].coding); err != nil {
			return s, err
		}
		go s.read(conn)
	}
	time.Sleep(time.Second) // until all are members
	if err := p.round(s, size); err != nil {
		return s, err
	}
	after, _, err := s.server.Memory()
	s.resident = float64(after-before) / 1024 / float64(p.Streams)
	s.cpu, s.bytes = nil, nil
	return s, err
}

func (s *session) read(conn net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		s.received.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// round dispatches pages, each when the one before has been sent.
func (p Plan) round(s *session, size int) error {
	cpu, received := s.server.CPU(), s.received.Load()
	pause := max(20*time.Millisecond, time.Duration(p.Streams)*30*time.Microsecond)
	if err := s.server.Call(patience, "Dispatch", Pages{size, p.Pages, pause}, nil); err != nil {
		return err
	}
	for before := int64(-1); before != s.received.Load(); time.Sleep(300 * time.Millisecond) { // the server may be behind
		before = s.received.Load()
	}
	deliveries := float64(p.Pages * p.Streams)
	s.cpu = append(s.cpu, float64(s.server.CPU()-cpu)/1e3/deliveries)
	s.bytes = append(s.bytes, float64(s.received.Load()-received)/deliveries)
	return nil
}

func median(of []float64) float64 {
	of = slices.Clone(of)
	slices.Sort(of)
	return of[len(of)/2]
}
