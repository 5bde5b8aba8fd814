//go:build linux

// Package pages measures what it costs to send compressed events to many clients: with
// this library, which compresses an event once for all, and with datastar-go, which has
// a compressor for each stream.
package pages

import (
	"context"
	"fmt"
	"slices"
	"time"

	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
)

// A Plan says what to measure.
type Plan struct {
	Audiences []Audience
	Rounds    int           // the subjects take turns
	For       time.Duration // how long a round of a subject takes, at least
}

// An Audience are clients that all get the same events.
type Audience struct {
	Measure  string // the report's name for it
	Streams  int
	Sizes    []int    // of an event's data
	Subjects []string // names
}

// patience is how long a server may be busy.
const patience = time.Minute

// fewest is how many events there are in a round, whatever the time.
const fewest = 5

// Rows returns the rows of the report.
func (p Plan) Rows() (rows []report.Row) {
	for _, s := range subjects {
		rows = append(rows, report.Row{Subject: s.name, Base: base, Ours: s.ours})
	}
	return rows
}

// Run measures, and passes each result to found.
func (p Plan) Run(ctx context.Context, found func(report.Result)) error {
	for _, a := range p.Audiences {
		for _, size := range a.Sizes {
			if err := p.measure(ctx, a, size, found); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p Plan) measure(ctx context.Context, a Audience, size int, found func(report.Result)) error {
	var sessions []*session
	for _, subject := range subjects {
		if len(a.Subjects) > 0 && !slices.Contains(a.Subjects, subject.name) {
			continue
		}
		s := &session{Audience: a, size: size, length: p.For}
		defer s.kill()
		if err := s.open(ctx, subject); err != nil {
			return fmt.Errorf("%s: %w", subject.name, err)
		}
		sessions = append(sessions, s)
	}
	for round := range p.Rounds {
		for _, s := range sessions {
			one, err := s.round()
			if err != nil {
				return fmt.Errorf("%s: %w", s.subject.name, err)
			}
			one.Round = round
			found(one)
		}
	}
	return ctx.Err()
}

// A session is a server with its clients.
type session struct {
	Audience
	size            int
	length          time.Duration
	subject         subject
	server, clients *process.Process
	memory          float64 // KiB for each stream
}

// open starts a server and its clients, and lets it compress for the first time.
func (s *session) open(ctx context.Context, of subject) (err error) {
	s.subject = of
	if s.server, err = process.StartPart(ctx, "", "pages"); err != nil {
		return err
	}
	if s.clients, err = process.StartPart(ctx, "", "readers"); err != nil {
		return err
	}
	var addr string
	if err := s.server.Call(patience, "Start", of.name, &addr); err != nil {
		return err
	}
	before, _, err := s.server.Memory()
	if err != nil {
		return err
	}
	if err := s.clients.Call(patience, "Connect", Connections{s.Streams, addr, of.coding}, nil); err != nil {
		return err
	}
	time.Sleep(time.Second) // until all are members
	if _, err := s.round(); err != nil {
		return err
	}
	after, _, err := s.server.Memory()
	s.memory = float64(after-before) / 1024 / float64(s.Streams)
	return err
}

func (s *session) kill() {
	for _, p := range []*process.Process{s.clients, s.server} {
		if p != nil {
			p.Kill()
		}
	}
}

// round dispatches events, with time between them for all clients to read.
func (s *session) round() (report.Result, error) {
	result := report.Result{Subject: s.subject.name, Key: report.Key{Measure: s.Measure, N: s.Streams, Size: s.size}}
	pause := max(20*time.Millisecond, time.Duration(s.Streams)*30*time.Microsecond)
	count := max(fewest, int(s.length/pause))
	cpu := s.server.CPU()
	received, err := s.received()
	if err != nil {
		return result, err
	}
	if err := s.server.Call(patience, "Dispatch", Events{s.size, count, pause}, nil); err != nil {
		return result, err
	}
	now := received
	for last := int64(-1); last != now; { // the server may be behind
		time.Sleep(200 * time.Millisecond)
		last = now
		if now, err = s.received(); err != nil {
			return result, err
		}
	}
	deliveries := float64(count * s.Streams)
	result.Figures = map[string]float64{
		"cpu":    float64(s.server.CPU()-cpu) / 1e3 / deliveries,
		"bytes":  float64(now-received) / deliveries,
		"memory": s.memory,
	}
	return result, nil
}

// received returns how many bytes the clients have got.
func (s *session) received() (n int64, err error) {
	err = s.clients.Call(patience, "Received", process.None{}, &n)
	return n, err
}
