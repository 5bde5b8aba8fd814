//go:build linux

package rivals

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/bench/subject"
)

// A Session is a server process with its clients. When all streams are open, its
// phases are measured one after the other.
type Session struct {
	Subject  subject.Subject
	Baseline string // the program of an older version to compare with, if any
	Slices   int    // of the phases with a time: how often they are measured
	Streams  int
	Stalled  int // more clients, which read nothing
	Phases   []Phase

	name     string        // in the results
	patience time.Duration // how long a server may make no progress
	server   *process.Process
	orders   *gob.Encoder
	clients  *client.Clients
	event    int    // the last one that was dispatched
	empty    Memory // before the streams
	err      error  // the first one
}

// A Phase is a measure of a session.
type Phase struct {
	Measure string
	Size    int           // of an event's data
	For     time.Duration // how long events are dispatched
	Rate    float64       // events/s, of the measures that have a rate
}

// Run runs the session and returns the results of its phases. Those after a failure
// fail as well. With a baseline both servers run at once, and each slice of a phase is
// measured of one right after the other: what else the machine does slows down both.
func (s *Session) Run(ctx context.Context, patience time.Duration) (results []report.Result) {
	s.name, s.patience = s.Subject.Name, patience
	servers := []*Session{s}
	if s.Baseline != "" {
		old := *s
		old.name = report.Before(s.name)
		servers = append(servers, &old)
	}
	for i, one := range servers {
		one.err = one.open(ctx, []string{"", s.Baseline}[i])
		defer one.close()
	}
	for slice := range max(1, s.Slices) {
		slices.Reverse(servers) // who is first is slower, or faster
		for _, p := range s.Phases {
			if slice > 0 && p.For == 0 {
				continue // it would be the same again
			}
			for _, one := range servers {
				r := one.measure(p)
				r.Round = slice
				results = append(results, r)
			}
		}
	}
	return results
}

func (s *Session) measure(p Phase) report.Result {
	r := report.Result{Subject: s.name, Key: report.Key{Measure: p.Measure, N: s.Streams, Size: p.Size}}
	if s.err == nil {
		r.Figures, s.err = measures[p.Measure](s, p)
	}
	if s.err != nil {
		r.Failure, r.Hangs = s.err.Error(), errors.Is(s.err, process.ErrHangs)
	}
	return r
}

func (s *Session) close() {
	if s.clients != nil {
		s.clients.Close()
	}
	if s.server != nil {
		s.server.Kill()
	}
}

// open starts the server, opens the streams, and returns when each of them has had an
// event: a client that has the head of the response is not always a subscriber yet.
func (s *Session) open(ctx context.Context, program string) (err error) {
	if s.server, err = process.StartPart(ctx, program, "server"); err != nil {
		return err
	}
	s.orders = gob.NewEncoder(s.server.Orders)
	var addr string
	if err := s.call("Start", s.Subject.Name, &addr); err != nil {
		return err
	}
	if s.empty, err = s.memory(); err != nil {
		return err
	}
	s.clients, err = client.Open(ctx, addr, client.Options{Streams: s.Streams, Stalled: s.Stalled, HTTP2: s.Subject.HTTP2})
	if err != nil {
		return fmt.Errorf("open streams: %w", err)
	}
	const again = 200 * time.Millisecond
	for deadline := time.Now().Add(s.patience + 10*time.Second); ; {
		if err := s.orders.Encode(Order{}); err != nil {
			return err
		}
		greeted := 0
		err := s.clients.Wait(again, func(p client.Progress) bool {
			greeted = p.Greeted
			return greeted == s.Streams
		})
		if !errors.Is(err, process.ErrHangs) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d streams have had an event: %w", greeted, s.Streams, err)
		}
	}
}

func (s *Session) call(method string, args, reply any) error {
	return s.server.Call(s.patience, method, args, reply)
}

// dispatch lets n more events be dispatched.
func (s *Session) dispatch(n, size int) error {
	first := s.event + 1
	s.event += n
	return s.orders.Encode(Order{First: first, Last: s.event, Size: size})
}

// arrived waits until all clients have the event, or a later one, which it returns.
func (s *Session) arrived(event int) (complete int, err error) {
	err = s.clients.Wait(s.patience, func(p client.Progress) bool {
		complete = p.Complete
		return complete >= event || p.Ended > 0
	})
	if err == nil && complete < event {
		err = fmt.Errorf("streams end by themselves after event %d", complete)
	} else if err != nil {
		err = fmt.Errorf("dispatch: %w", err)
	}
	return complete, err
}

func (s *Session) memory() (m Memory, err error) {
	if err := s.call("Memory", process.None{}, &m); err != nil {
		return m, err
	}
	m.Resident, m.Sockets, err = s.server.Memory()
	return m, err
}
