//go:build linux

package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
)

// A Plan says what to measure.
type Plan struct {
	Engines []Engine
	Hubs    []int // on a log
	Callers []int // of two hubs
	Clients []int // that reconnect at once
	Rounds  int
	For     time.Duration // of each phase
}

const (
	patience     = time.Minute          // more than any call of a log's
	pause        = 5 * time.Millisecond // between events that are dispatched one at a time
	pair         = 2                    // hubs whose times are measured
	warmUps      = 50                   // events before what is measured
	flatCallers  = 16                   // that dispatch flat out while CPU time is measured, as the report says
	full         = 1100                 // events, more than a hub keeps
	snapshotSize = 10 << 10             // bytes of data
	stormEngine  = "nats, file"         // of clients that reconnect
)

// Rows returns the rows of the report.
func (p Plan) Rows() (rows []report.Row) {
	for _, e := range p.Engines {
		row := report.Row{Subject: e.Name, About: e.Name + ": " + e.about}
		if !e.local {
			row.Base = base
		}
		rows = append(rows, row)
	}
	return rows
}

// A round passes on the results of a round.
type round struct {
	Plan
	number int
	found  func(report.Result)
}

func (r round) add(e Engine, measure string, n int, figures map[string]float64) {
	r.found(report.Result{Subject: e.Name, Key: report.Key{Measure: measure, N: n}, Round: r.number, Figures: figures})
}

// Run measures, and passes each result to found. The engines take turns: what else the
// machine does slows down all of them.
func (p Plan) Run(ctx context.Context, found func(report.Result)) error {
	for number := range p.Rounds {
		r := round{p, number, found}
		for _, n := range p.Hubs {
			for _, e := range p.Engines {
				if err := r.hubs(ctx, e, n); err != nil {
					return fmt.Errorf("%s, %d hubs: %w", e.Name, n, err)
				}
			}
		}
		for _, n := range p.Clients {
			figures := make(map[string]float64)
			for _, kind := range []string{"resume", "snapshot"} {
				if err := r.storm(ctx, n, kind, figures); err != nil {
					return fmt.Errorf("%d clients reconnect: %w", n, err)
				}
			}
			r.add(Engine{Name: stormEngine}, "reconnect", n, figures)
		}
	}
	return nil
}

// A session is a broker, if there is one, and the nodes on it.
type session struct {
	broker *broker
	nodes  []*process.Process
	events int
}

// open starts a session.
func open(ctx context.Context, e Engine, hubs, snapshot int) (*session, error) {
	b, err := e.start(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{broker: b}
	nodes, c := hubs, NodeConfig{Engine: e.Name, Addrs: b.addrs, Hubs: 1, Snapshot: snapshot}
	if e.local {
		nodes, c.Hubs = 1, hubs
	}
	for range nodes {
		node, err := process.StartPart(ctx, "", "node")
		if err == nil {
			s.nodes = append(s.nodes, node)
			err = node.Call(patience, "Open", c, nil)
		}
		if err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *session) close() {
	for _, n := range s.nodes {
		n.Kill()
	}
	s.broker.stop()
}

// write dispatches events. It returns the CPU time of each, of all processes together,
// the times of the calls, and the times until the last node's member had the events.
func (s *session) write(o Order) (cpu float64, calls, arrivals Times, err error) {
	for _, n := range s.nodes {
		err = errors.Join(err, n.Call(patience, "Forget", process.None{}, nil))
	}
	before := s.cpu()
	err = errors.Join(err, s.nodes[0].Call(patience+o.For, "Write", o, &calls))
	s.events += calls.Events
	for _, n := range s.nodes {
		err = errors.Join(err, n.Call(patience, "Await", s.events, &arrivals))
	}
	return float64(s.cpu()-before) / 1e3 / float64(calls.Events), calls, arrivals, err
}

// cpu returns the processor time that all processes have used, in ns.
func (s *session) cpu() (sum int64) {
	for _, p := range s.nodes {
		sum += p.CPU()
	}
	return sum + s.broker.cpu()
}

// hubs measures hubs on a log, the first of which dispatches. Of two hubs it measures
// the times of events and how many get through; otherwise their CPU time.
func (r round) hubs(ctx context.Context, e Engine, n int) error {
	hubs := n
	if e.Name == "none" {
		if hubs = 1; n > pair {
			return nil // hubs without a log share nothing
		}
	}
	s, err := open(ctx, e, hubs, 0)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, _, err := s.write(Order{Callers: 1, Count: warmUps}); err != nil {
		return err
	}
	cpu, calls, arrivals, err := s.write(Order{Callers: 1, For: r.For, Pause: pause})
	if err != nil {
		return err
	}
	if n != pair {
		flat, _, _, err := s.write(Order{Callers: flatCallers, For: r.For / 2})
		r.add(e, "followers", n, map[string]float64{"one": cpu, "flat": flat})
		return err
	}
	r.add(e, "one", 0, map[string]float64{
		"call p50": float64(calls.P50) / 1e3, "call p99": float64(calls.P99) / 1e3,
		"member p50": float64(arrivals.P50) / 1e3, "member p99": float64(arrivals.P99) / 1e3,
	})
	for _, callers := range r.Callers {
		_, calls, _, err := s.write(Order{Callers: callers, For: r.For / 2})
		if err != nil {
			return fmt.Errorf("%d callers: %w", callers, err)
		}
		r.add(e, "flat", callers, map[string]float64{"rate": float64(calls.Events) / calls.Took.Seconds()})
	}
	return nil
}

// storm measures clients that all reconnect at once to a process with a full history:
// they resume or get a snapshot, which is the kind.
func (r round) storm(ctx context.Context, n int, kind string, figures map[string]float64) error {
	e, err := Find(stormEngine)
	if err != nil {
		return err
	}
	s, err := open(ctx, e, 1, snapshotSize)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, _, err := s.write(Order{Callers: 1, Count: full}); err != nil {
		return err
	}
	var a Address
	if err := s.nodes[0].Call(patience, "Serve", process.None{}, &a); err != nil {
		return err
	}
	o, until := client.Options{Streams: n, Rush: true}, 1
	if kind == "resume" {
		o.LastEventID, until = a.ID, full
	}
	slab, err := process.Slab()
	if err != nil {
		return err
	}
	cpu, began := s.nodes[0].CPU(), process.Monotonic()
	clients, err := client.Open(ctx, a.Addr, o)
	if err != nil {
		return err
	}
	defer clients.Close()
	if err := clients.Wait(patience, func(p client.Progress) bool { return p.Complete >= until || p.Ended > 0 }); err != nil {
		return err
	}
	if err := s.nodes[0].Call(patience, "AwaitDetached", n, nil); err != nil {
		return err
	}
	figures[kind+" half"] = float64(clients.Half(until)-began) / 1e6
	figures[kind+" last"] = float64(clients.Last(until)-began) / 1e6
	figures[kind+" cpu"] = float64(s.nodes[0].CPU()-cpu) / 1e3 / float64(n)
	after, err := process.Slab()
	figures[kind+" slab"] = float64(after-slab) / 2 / float64(n) / 1024
	return err
}
