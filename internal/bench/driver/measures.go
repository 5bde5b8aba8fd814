//go:build linux

package driver

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"example.org/sse/internal/bench/control"
	"example.org/sse/internal/bench/machine"
)

// measures are all of them. What they return goes into a Result; that of a
// failure too.
var measures = map[Measure]func(*session, Phase) (map[string]float64, error){
	One:       one,
	Flat:      flat,
	Idle:      idle,
	Stalled:   stalled,
	Shutdown:  shutdown,
	KeepAlive: keepAlive,
}

const (
	inFlight = 16 // events, of Flat
	warmUp   = 10 // events before what is measured
)

// warm dispatches a few events, until all clients have them.
func (s *session) warm(size int) error {
	if err := s.dispatch(s.event+warmUp, size); err != nil {
		return err
	}
	_, err := s.arrived(s.event)
	return err
}

// begin begins an account and returns the processor time so far.
func (s *session) begin() (cpu int64, err error) {
	if _, err := s.server.ask(control.Request{Op: control.Begin}, s.patience); err != nil {
		return 0, err
	}
	u, err := s.usage()
	return u.CPU, err
}

func (s *session) usage() (control.UsageReply, error) {
	r, err := s.server.ask(control.Request{Op: control.Usage}, s.patience)
	if r.Usage == nil {
		return control.UsageReply{}, err
	}
	return *r.Usage, err
}

func (s *session) report(after int) (control.ClientReport, error) {
	r, err := s.client.ask(control.Request{Op: control.Report, Event: after}, s.patience)
	if err != nil {
		return control.ClientReport{}, err
	}
	return *r.Report, nil
}

// account does the work and returns what the events that it dispatched cost.
func (s *session) account(size int, work func() error) (map[string]float64, error) {
	if err := s.warm(size); err != nil {
		return nil, err
	}
	before, first := s.event, s.event+1
	cpu, err := s.begin()
	if err != nil {
		return nil, err
	}
	if err := work(); err != nil {
		return nil, err
	}
	used, err := s.usage()
	if err != nil {
		return nil, err
	}
	got, err := s.report(before)
	if err != nil {
		return nil, err
	}
	if n := s.event - before; len(used.Starts) != n || len(got.Lasts) != n || n == 0 {
		return nil, fmt.Errorf("of the events %d to %d, %d were dispatched, and %d arrived", first, s.event, len(used.Starts), len(got.Lasts))
	}
	n := float64(len(got.Lasts))
	took := make([]float64, len(got.Lasts))
	for i := range got.Lasts {
		took[i] = float64(got.Lasts[i] - used.Starts[i])
	}
	slices.Sort(took)
	elapsed := got.Lasts[len(got.Lasts)-1] - used.Starts[0]
	return map[string]float64{
		CPU:  float64(used.CPU-cpu) / 1e3 / n / float64(s.Streams),
		Last: stat.Quantile(0.5, stat.LinInterp, took, nil) / 1e6,
		Rate: n / time.Duration(elapsed).Seconds(),
	}, nil
}

// one dispatches an event when all have the one before it, and not more often
// than the rate.
func one(s *session, p Phase) (map[string]float64, error) {
	return s.account(p.Size, func() error {
		tick := time.NewTicker(time.Duration(float64(time.Second) / p.Rate))
		defer tick.Stop()
		for end := time.Now().Add(p.For); time.Now().Before(end); <-tick.C {
			if err := s.dispatch(s.event+1, p.Size); err != nil {
				return err
			}
			if _, err := s.arrived(s.event); err != nil {
				return err
			}
		}
		return nil
	})
}

// flat dispatches as fast as the clients get it.
func flat(s *session, p Phase) (map[string]float64, error) {
	return s.account(p.Size, func() error {
		complete := s.event
		for end := time.Now().Add(p.For); time.Now().Before(end); {
			if err := s.dispatch(complete+inFlight, p.Size); err != nil {
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

// idle is what the streams hold while nothing happens.
func idle(s *session, _ Phase) (map[string]float64, error) {
	r, err := s.server.ask(control.Request{Op: control.Memory}, s.patience)
	if err != nil {
		return nil, err
	}
	each := func(with, without int64) float64 { return float64(with-without) / 1024 / float64(s.Streams) }
	return map[string]float64{
		Resident: each(r.Memory.Resident, s.empty.Resident),
		Heap:     each(r.Memory.Heap, s.empty.Heap),
		Stacks:   each(r.Memory.Stacks, s.empty.Stacks),
	}, nil
}

// stalled dispatches at a rate, whatever the clients do.
func stalled(s *session, p Phase) (map[string]float64, error) {
	before, err := s.server.ask(control.Request{Op: control.Memory}, s.patience)
	if err != nil {
		return nil, err
	}
	if _, err := s.begin(); err != nil {
		return nil, err
	}
	hung := s.paced(p)
	used, err := s.usage()
	if err != nil {
		return nil, errors.Join(hung, err)
	}
	after, err := s.server.ask(control.Request{Op: control.Memory}, s.patience)
	if err != nil {
		return nil, errors.Join(hung, err)
	}
	figures := map[string]float64{
		P50:      float64(used.P50) / 1e6,
		P99:      float64(used.P99) / 1e6,
		Longest:  float64(used.Longest) / 1e6,
		Resident: float64(after.Memory.Resident-before.Memory.Resident) / (1 << 20),
	}
	if !s.Subject.HTTP2 { // where streams share their sockets
		figures[Closed] = float64(before.Memory.Sockets - after.Memory.Sockets)
	}
	return figures, hung
}

// paced dispatches at a rate, and waits for the last event alone.
func (s *session) paced(p Phase) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / p.Rate))
	defer tick.Stop()
	for end := time.Now().Add(p.For); time.Now().Before(end); <-tick.C {
		if err := s.dispatch(s.event+1, p.Size); err != nil {
			return err
		}
	}
	_, err := s.arrived(s.event)
	return err
}

// shutdown ends the server while its streams are idle.
func shutdown(s *session, _ Phase) (map[string]float64, error) {
	start, began := machine.Monotonic(), time.Now()
	_, err := s.server.ask(control.Request{Op: control.Shutdown, Patience: int64(s.patience)}, s.patience+time.Second)
	ended := s.client.await("shutdown", max(time.Second, s.patience-time.Since(began)), func(p control.Progress) bool {
		return p.Ended == s.Streams
	})
	got, e := s.report(s.event)
	if e != nil {
		return nil, e
	}
	figures := map[string]float64{Clean: float64(got.Clean)}
	if err != nil || ended != nil {
		if ended == nil {
			ended = errors.New("the streams ended, and Shutdown returned an error")
		}
		return figures, errors.Join(err, ended)
	}
	figures[Took] = float64(got.LastEnd-start) / 1e6
	return figures, nil
}

// keepAlive is what it costs to keep streams open.
func keepAlive(s *session, p Phase) (map[string]float64, error) {
	before, err := s.begin()
	if err != nil {
		return nil, err
	}
	time.Sleep(p.For)
	after, err := s.usage()
	if err != nil {
		return nil, err
	}
	return map[string]float64{CPU: 100 * float64(after.CPU-before) / float64(p.For)}, nil
}
