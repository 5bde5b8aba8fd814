//go:build linux

// Package rivals measures how servers send the same events to many clients.
package rivals

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/process"
)

// Measures are the names of all measures, in the order of the report, which
// describes them.
var Measures = []string{"one", "flat", "idle", "stalled", "shutdown", "keepalive"}

// measures return figures, also with some of the errors.
var measures = map[string]func(*Session, Phase) (map[string]float64, error){
	"one":       one,
	"flat":      flat,
	"idle":      idle,
	"stalled":   stalled,
	"shutdown":  shutdown,
	"keepalive": keepAlive,
}

const (
	inFlight = 16 // events, of flat
	warmUps  = 10 // events before what is measured, or fewer in the next slice
)

// account does the work and returns what the events that it dispatched cost.
func (s *Session) account(size int, work func() error) (map[string]float64, error) {
	n := warmUps
	if s.event > 0 {
		n = 2
	}
	if err := s.dispatch(n, size); err != nil {
		return nil, err
	}
	if _, err := s.arrived(s.event); err != nil {
		return nil, err
	}
	if err := s.call("Begin", process.None{}, nil); err != nil {
		return nil, err
	}
	first, cpu := s.event+1, s.server.CPU()
	if err := work(); err != nil {
		return nil, err
	}
	cpu = s.server.CPU() - cpu
	var calls Calls
	if err := s.call("Calls", process.None{}, &calls); err != nil {
		return nil, err
	}
	n = s.event - first + 1
	if len(calls.Starts) != n || n == 0 {
		return nil, fmt.Errorf("%d of %d events were dispatched", len(calls.Starts), n)
	}
	took := hdrhistogram.New(1, time.Minute.Nanoseconds(), 3)
	for i, start := range calls.Starts {
		if err := took.RecordValue(s.clients.Last(first+i) - start); err != nil {
			return nil, err
		}
	}
	elapsed := time.Duration(s.clients.Last(s.event) - calls.Starts[0])
	return map[string]float64{
		"cpu":  float64(cpu) / 1e3 / float64(n*s.Streams),
		"last": float64(took.ValueAtQuantile(50)) / 1e6,
		"rate": float64(n) / elapsed.Seconds(),
	}, nil
}

// paced calls f at the phase's rate, for its time.
func paced(p Phase, f func() error) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / p.Rate))
	defer tick.Stop()
	for end := time.Now().Add(p.For); time.Now().Before(end); <-tick.C {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// one dispatches an event when all have the one before it.
func one(s *Session, p Phase) (map[string]float64, error) {
	return s.account(p.Size, func() error {
		return paced(p, func() error {
			if err := s.dispatch(1, p.Size); err != nil {
				return err
			}
			_, err := s.arrived(s.event)
			return err
		})
	})
}

// flat dispatches as fast as the clients receive.
func flat(s *Session, p Phase) (map[string]float64, error) {
	return s.account(p.Size, func() error {
		complete := s.event
		for end := time.Now().Add(p.For); time.Now().Before(end); {
			if err := s.dispatch(complete+inFlight-s.event, p.Size); err != nil {
				return err
			}
			var err error
			if complete, err = s.arrived(complete + 1); err != nil {
				return err
			}
		}
		_, err := s.arrived(s.event)
		return err
	})
}

// idle returns what a stream holds while nothing happens, in KiB.
func idle(s *Session, _ Phase) (map[string]float64, error) {
	m, err := s.memory()
	each := func(with, without int64) float64 { return float64(with-without) / 1024 / float64(s.Streams) }
	return map[string]float64{
		"resident": each(m.Resident, s.empty.Resident),
		"heap":     each(m.Heap, s.empty.Heap),
		"stacks":   each(m.Stacks, s.empty.Stacks),
	}, err
}

// stalled dispatches at a rate, whatever the clients do.
func stalled(s *Session, p Phase) (map[string]float64, error) {
	before, err := s.memory()
	if err != nil {
		return nil, err
	}
	if err := s.call("Begin", process.None{}, nil); err != nil {
		return nil, err
	}
	hung := paced(p, func() error { return s.dispatch(1, p.Size) })
	if hung == nil {
		_, hung = s.arrived(s.event)
	}
	var calls Calls
	if err := s.call("Calls", process.None{}, &calls); err != nil {
		return nil, errors.Join(hung, err)
	}
	after, err := s.memory()
	if err != nil {
		return nil, errors.Join(hung, err)
	}
	figures := map[string]float64{
		"p50":     float64(calls.P50) / 1e6,
		"p99":     float64(calls.P99) / 1e6,
		"longest": float64(calls.Longest) / 1e6,
		"grown":   float64(after.Resident-before.Resident) / (1 << 20),
	}
	if !s.Subject.HTTP2 { // whose streams share their sockets
		figures["closed"] = float64(before.Sockets - after.Sockets)
	}
	return figures, hung
}

// shutdown ends the server while its streams are idle.
func shutdown(s *Session, _ Phase) (map[string]float64, error) {
	start, began := process.Monotonic(), time.Now()
	err := s.server.Call(s.patience+time.Second, "Shutdown", s.patience, nil)
	ended := s.clients.Wait(max(time.Second, s.patience-time.Since(began)), func(p client.Progress) bool {
		return p.Ended == s.Streams
	})
	clean, last := s.clients.Ended()
	figures := map[string]float64{"clean": float64(clean)}
	if err != nil || ended != nil {
		if ended != nil {
			ended = fmt.Errorf("shutdown: %w", ended)
		}
		return figures, errors.Join(err, ended)
	}
	figures["took"] = float64(last-start) / 1e6
	return figures, nil
}

// keepAlive returns what it costs to keep streams open, in percent of a core.
func keepAlive(s *Session, p Phase) (map[string]float64, error) {
	before := s.server.CPU()
	time.Sleep(p.For) // the streams are idle
	return map[string]float64{"cpu": 100 * float64(s.server.CPU()-before) / float64(p.For)}, nil
}
