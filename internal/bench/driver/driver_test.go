//go:build linux

package driver_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/driver"
	"example.org/sse/internal/bench/server"
	"example.org/sse/internal/bench/subject"
)

// start stands for the processes: the same code, in goroutines.
func start(ctx context.Context, name string) (driver.Process, error) {
	requests, in := io.Pipe()
	out, replies := io.Pipe()
	run := func() error { return client.Run(ctx, requests, replies) }
	if name != "" {
		s, err := subject.Find(name)
		if err != nil {
			return driver.Process{}, err
		}
		run = func() error { return server.Run(ctx, s, requests, replies) }
	}
	done := make(chan error, 1)
	go func() {
		err := run()
		replies.CloseWithError(err)
		requests.CloseWithError(err)
		done <- err
	}()
	kill := func() error { return errors.Join(in.Close(), out.Close(), <-done) }
	return driver.Process{In: in, Out: out, Kill: kill}, nil
}

// Every subject's every client gets every event once and in order, else Run
// says so; and all measures have the figures that the report wants.
func TestSubjects(t *testing.T) {
	hang := map[string]bool{"naive": true, "datastar": true} // at shutdown, of which they know nothing
	for _, s := range subject.All {
		t.Run(s.Name, func(t *testing.T) {
			d := driver.Driver{Start: start, Patience: time.Second}
			results := d.Run(t.Context(), driver.Session{Subject: s, Streams: 10, Phases: []driver.Phase{
				{Measure: driver.Idle},
				{Measure: driver.One, Size: 100, For: 100 * time.Millisecond, Rate: 500},
				{Measure: driver.Flat, Size: 3000, For: 100 * time.Millisecond},
				{Measure: driver.Shutdown},
			}})
			for _, r := range results {
				switch {
				case r.Measure == driver.Shutdown && hang[s.Name]:
					if !r.Hangs {
						t.Errorf("shutdown does not hang any more: %+v", r)
					}
				case r.Failure != "":
					t.Errorf("%s: %s", r.Measure, r.Failure)
				case r.Measure == driver.One && (r.Figures[driver.Rate] < 50 || r.Figures[driver.Last] <= 0):
					t.Errorf("one: %v", r.Figures)
				case r.Measure == driver.Flat && r.Figures[driver.Rate] < 200:
					t.Errorf("flat: %v", r.Figures)
				case r.Measure == driver.Shutdown && r.Figures[driver.Clean] != 10:
					t.Errorf("shutdown: %v", r.Figures)
				}
			}
		})
	}
}

// A client that does not read shows in the figures, not in a failure.
func TestStalled(t *testing.T) {
	s, err := subject.Find("attached")
	if err != nil {
		t.Fatal(err)
	}
	d := driver.Driver{Start: start, Patience: 5 * time.Second}
	results := d.Run(t.Context(), driver.Session{Subject: s, Streams: 9, Stalled: 1, Phases: []driver.Phase{
		{Measure: driver.Stalled, Size: 64 << 10, For: 2 * time.Second, Rate: 100},
	}})
	if r := results[0]; r.Failure != "" || r.Figures[driver.P99] <= 0 || r.Figures[driver.Longest] < r.Figures[driver.P50] {
		t.Errorf("%+v", r)
	}
}

// A server that ends streams by itself is no reason to wait.
func TestFailure(t *testing.T) {
	d := driver.Driver{Patience: time.Second, Start: func(ctx context.Context, name string) (driver.Process, error) {
		p, err := start(ctx, name)
		if name == "" {
			return p, err
		}
		p.Out = io.MultiReader() // has ended
		return p, err
	}}
	results := d.Run(t.Context(), driver.Session{Subject: subject.All[0], Streams: 1, Phases: []driver.Phase{{Measure: driver.Idle}}})
	if want := "start: the process has ended"; !strings.HasPrefix(results[0].Failure, want) || results[0].Hangs {
		t.Errorf("got %+v, want the failure %q", results[0], want)
	}
}

// All subjects take turns, and none of them has two sessions in a row unless it
// is alone in what is measured.
func TestPlan(t *testing.T) {
	p := driver.Plan{
		Subjects:   subject.All,
		Measures:   driver.Measures,
		Streams:    []int{10, 20},
		Sizes:      []int{100, 1024},
		Crowd:      30,
		Leaving:    15,
		Deliveries: 1000,
		Repeats:    2,
	}
	rounds := p.Sessions()
	n := len(subject.All)
	if got, want := []int{len(rounds[0]), len(rounds[1])}, []int{5*n + 2, 4 * n}; got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got rounds of %v sessions, want %v", got, want)
	}
	for _, sessions := range rounds {
		for i := 1; i < len(sessions); i++ {
			if sessions[i].Subject.Name == sessions[i-1].Subject.Name {
				t.Errorf("session %d is the same subject's as the one before: %s", i, sessions[i])
			}
		}
	}
}
