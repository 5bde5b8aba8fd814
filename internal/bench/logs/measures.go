//go:build linux

package logs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
)

// A Plan says what to measure.
type Plan struct {
	Engines   []Engine
	Followers []int // hubs, the first of which dispatches
	Callers   []int
	Clients   []int // that reconnect at once
	Rounds    int
	For       time.Duration // of each phase
}

const (
	patience     = time.Minute          // more than any call of a log's
	pause        = 5 * time.Millisecond // between events that are dispatched one at a time
	flatCallers  = 16                   // that dispatch flat out while CPU time is measured
	full         = 1100                 // events, more than a hub keeps
	snapshotSize = 10 << 10             // bytes of data
	stormEngine  = "nats, file"         // of clients that reconnect
)

// warmUp is dispatched before what is measured.
var warmUp = Order{Callers: 1, Count: 50}

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
		for _, e := range p.Engines {
			if err := r.pair(ctx, e); err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
		}
		for _, n := range p.Followers {
			for _, e := range p.Engines {
				if err := r.followers(ctx, e, n); err != nil {
					return fmt.Errorf("%s, %d followers: %w", e.Name, n, err)
				}
			}
		}
		for _, n := range p.Clients {
			for _, resume := range []bool{true, false} {
				if err := r.storm(ctx, n, resume); err != nil {
					return fmt.Errorf("%d clients reconnect: %w", n, err)
				}
			}
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

// write dispatches events, and returns the times of the calls, and the times until the
// farthest member had the events.
func (s *session) write(o Order) (calls, arrivals Times, err error) {
	for _, n := range s.nodes {
		if err := n.Call(patience, "Forget", None{}, nil); err != nil {
			return calls, arrivals, err
		}
	}
	if err := s.nodes[0].Call(patience+o.For, "Write", o, &calls); err != nil {
		return calls, arrivals, err
	}
	s.events += calls.Events
	for _, n := range s.nodes {
		if err := n.Call(patience, "Await", s.events, &arrivals); err != nil {
			return calls, arrivals, err
		}
	}
	return calls, arrivals, nil
}

// cpu returns the processor time that all processes have used, in ns.
func (s *session) cpu() (sum int64) {
	for _, p := range slices.Concat(s.broker.processes, s.nodes) {
		sum += p.CPU()
	}
	return sum
}

// pair measures two hubs, in two processes where the log allows it: how long a call
// takes, when the other hub's member has the event, and how many events get through.
func (r round) pair(ctx context.Context, e Engine) error {
	hubs := 2
	if e.Name == "none" {
		hubs = 1
	}
	s, err := open(ctx, e, hubs, 0)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err := s.write(warmUp); err != nil {
		return err
	}
	calls, arrivals, err := s.write(Order{Callers: 1, For: r.For, Pause: pause})
	if err != nil {
		return err
	}
	µs := func(ns int64) float64 { return float64(ns) / 1e3 }
	r.add(e, "one", 0, map[string]float64{
		"call p50": µs(calls.P50), "call p99": µs(calls.P99),
		"member p50": µs(arrivals.P50), "member p99": µs(arrivals.P99),
	})
	for _, n := range r.Callers {
		calls, _, err := s.write(Order{Callers: n, For: r.For / 2})
		if err != nil {
			return fmt.Errorf("%d callers: %w", n, err)
		}
		r.add(e, "flat", n, map[string]float64{"rate": float64(calls.Events) / calls.Took.Seconds()})
	}
	return nil
}

// followers measures the CPU time of an event, of all processes together.
func (r round) followers(ctx context.Context, e Engine, n int) error {
	if e.Name == "none" && n > 1 {
		return nil // hubs without a log share nothing
	}
	s, err := open(ctx, e, n, 0)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err := s.write(warmUp); err != nil {
		return err
	}
	figures := make(map[string]float64)
	for figure, o := range map[string]Order{
		"one":  {Callers: 1, For: r.For, Pause: pause},
		"flat": {Callers: flatCallers, For: r.For / 2},
	} {
		before := s.cpu()
		calls, _, err := s.write(o)
		if err != nil {
			return err
		}
		figures[figure] = float64(s.cpu()-before) / 1e3 / float64(calls.Events)
	}
	r.add(e, "followers", n, figures)
	return nil
}

// storm measures clients that all reconnect at once to a process with a full history:
// they resume, or get a snapshot.
func (r round) storm(ctx context.Context, n int, resume bool) error {
	e, err := Find(stormEngine)
	if err != nil {
		return err
	}
	s, err := open(ctx, e, 1, snapshotSize)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err := s.write(Order{Callers: 1, Count: full}); err != nil {
		return err
	}
	var a Address
	if err := s.nodes[0].Call(patience, "Serve", None{}, &a); err != nil {
		return err
	}
	measure, o, until := "snapshot", client.Options{Streams: n, Rush: true}, 1
	if resume {
		measure, o.LastEventID, until = "resume", a.ID, full
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
	figures := map[string]float64{
		"half": float64(clients.Half(until)-began) / 1e6,
		"last": float64(clients.Last(until)-began) / 1e6,
		"cpu":  float64(s.nodes[0].CPU()-cpu) / 1e3 / float64(n),
	}
	after, err := process.Slab()
	figures["slab"] = float64(after-slab) / 2 / float64(n) / 1024
	r.add(e, measure, n, figures)
	return err
}
