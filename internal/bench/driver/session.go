//go:build linux

// Package driver runs what is measured: it starts a server and a client
// process, tells the one to dispatch and hears from the other what arrived.
package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/control"
	"example.org/sse/internal/bench/subject"
)

// A Session is one server process and one client process, and what is measured
// with them, one after the other, once all streams are open.
type Session struct {
	Subject subject.Subject
	Streams int
	Stalled int // clients besides those, which read nothing
	Phases  []Phase
}

// A Phase is one measure of a session.
type Phase struct {
	Measure Measure
	Size    int           // of an event's data
	For     time.Duration // how long events are dispatched
	Rate    float64       // events/s, of those measures that have one
}

// String tells a session from the others of its subject.
func (s Session) String() string {
	var measures []string
	for _, p := range s.Phases {
		if m := string(p.Measure); !slices.Contains(measures, m) {
			measures = append(measures, m)
		}
	}
	return fmt.Sprintf("%s, %d streams: %s", s.Subject.Name, s.Streams, strings.Join(measures, ", "))
}

// A Driver runs sessions.
type Driver struct {
	// Start starts a process: of the server of that name, or of the clients
	// if there is none.
	Start func(ctx context.Context, subject string) (Process, error)

	// Patience is how long a server may not make progress before it is said
	// to hang.
	Patience time.Duration
}

// A session is one that runs.
type session struct {
	Session
	patience       time.Duration
	server, client *peer
	event          int // the last one that was dispatched
	empty          control.MemoryReply
}

// Run runs a session and returns a result for each of its phases. Those that
// come after a failure fail as well.
func (d *Driver) Run(ctx context.Context, s Session) []Result {
	r := &session{Session: s, patience: d.Patience}
	err := r.open(ctx, d.Start)
	var results []Result
	for _, p := range s.Phases {
		result := Result{Subject: s.Subject.Name, Measure: p.Measure, Streams: s.Streams, Size: p.Size}
		if err == nil {
			result.Figures, err = measures[p.Measure](r, p)
		}
		if err != nil {
			result.Failure = err.Error()
			result.Hangs = errors.Is(err, ErrHangs)
		}
		results = append(results, result)
	}
	if e := r.close(); e != nil {
		for i := range results {
			if results[i].Failure != "" {
				results[i].Failure += "; " + e.Error()
			}
		}
	}
	return results
}

// open starts both processes, opens the streams, and returns when each of them
// has had an event: a client that has the head of the answer is not always a
// subscriber already.
func (s *session) open(ctx context.Context, start func(context.Context, string) (Process, error)) error {
	process, err := start(ctx, s.Subject.Name)
	if err != nil {
		return err
	}
	s.server = newPeer(process)
	if process, err = start(ctx, ""); err != nil {
		return err
	}
	s.client = newPeer(process)
	hello, err := s.server.answer("start", s.patience)
	if err != nil {
		return err
	}
	memory, err := s.server.ask(control.Request{Op: control.Memory}, s.patience)
	if err != nil {
		return err
	}
	s.empty = *memory.Memory
	_, err = s.client.ask(control.Request{
		Op:      control.Open,
		Addr:    hello.Addr,
		HTTP2:   s.Subject.HTTP2,
		Streams: s.Streams,
		Stalled: s.Stalled,
	}, s.patience+time.Minute)
	if err != nil {
		return fmt.Errorf("open streams: %w", err)
	}
	const again = 200 * time.Millisecond
	for deadline := time.Now().Add(s.patience + 10*time.Second); ; {
		if err := s.server.tell(control.Request{Op: control.Greet}); err != nil {
			return err
		}
		greeted := 0
		err := s.client.await("greet", again, func(p control.Progress) bool {
			greeted = p.Greeted
			return greeted == s.Streams
		})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, ErrHangs):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d streams have had an event: %w", greeted, s.Streams, ErrHangs)
		}
	}
}

// close ends both processes.
func (s *session) close() error {
	var errs []error
	for _, p := range []*peer{s.client, s.server} {
		if p != nil {
			errs = append(errs, p.process.Kill())
		}
	}
	return errors.Join(errs...)
}

// dispatch has the events dispatched up to that one.
func (s *session) dispatch(upTo, size int) error {
	if upTo >= client.MaxEvents {
		return fmt.Errorf("more than %d events: measure for a shorter time", client.MaxEvents)
	}
	s.event = upTo
	return s.server.tell(control.Request{Op: control.Dispatch, Event: upTo, Size: size})
}

// arrived waits until all clients have the event, or a later one.
func (s *session) arrived(event int) (complete int, err error) {
	err = s.client.await("dispatch", s.patience, func(p control.Progress) bool {
		complete = p.Complete
		return complete >= event || p.Ended > 0
	})
	if err == nil && complete < event {
		err = fmt.Errorf("streams end by themselves after event %d", complete)
	}
	return complete, err
}
