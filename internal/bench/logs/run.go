//go:build linux

package logs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"example.org/sse/internal/bench/machine"
)

// A Plan is what is to be measured.
type Plan struct {
	Engines   []Engine
	Followers []int // hubs, of which the first dispatches
	Callers   []int
	Back      []int // clients that come back at once
	Rounds    int
	For       time.Duration // of each phase
	Self      []string      // the command that has this program be a part: see Play
	Say       func(string)
}

// pause is the time between events, where they are dispatched one at a time.
const pause = 5 * time.Millisecond

// snapshotSize is that of the data of a snapshot, in bytes.
const snapshotSize = 10 << 10

// storm is the engine whose clients come back.
const storm = "nats, file"

// Run measures. The engines take turns in each round, so that what else the
// machine does meets all of them.
func (p Plan) Run(ctx context.Context) (results []Result, err error) {
	for round := range p.Rounds {
		add := func(e Engine, figure string, n int, value float64) {
			results = append(results, Result{e.Name, figure, n, round, value})
			p.Say(fmt.Sprintf("%d/%d %s: %s, %d: %.4g", round+1, p.Rounds, e.Name, figure, n, value))
		}
		for _, e := range p.Engines {
			if err := p.pair(ctx, e, add); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name, err)
			}
		}
		for _, n := range p.Followers {
			for _, e := range p.Engines {
				if err := p.followers(ctx, e, n, add); err != nil {
					return nil, fmt.Errorf("%s, %d followers: %w", e.Name, n, err)
				}
			}
		}
		for _, n := range p.Back {
			if err := p.back(ctx, n, add); err != nil {
				return nil, fmt.Errorf("%d clients come back: %w", n, err)
			}
		}
	}
	return results, nil
}

type adder func(e Engine, figure string, n int, value float64)

// A session is a broker, if there is one, and the processes on it.
type session struct {
	broker *broker
	nodes  []*process
	events int
}

// open starts a session with so many hubs.
func (p Plan) open(ctx context.Context, e Engine, hubs, snapshot int) (s *session, err error) {
	b, err := e.start(ctx, p.Self)
	if err != nil {
		return nil, err
	}
	s = &session{broker: b}
	nodes, each := hubs, 1
	if e.local {
		nodes, each = 1, hubs
	}
	for range nodes {
		node, err := run(ctx, true, p.Self[0], append(p.Self[1:], "node")...)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.nodes = append(s.nodes, node)
		if _, err := node.ask(order{Op: "open", Engine: e.Name, Addrs: b.addrs, Hubs: each, Count: snapshot}); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *session) close() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.kill())
	}
	return errors.Join(append(errs, s.broker.stop())...)
}

// write has events dispatched, and returns the dispatcher's account, and that of
// the member that is the farthest from it.
func (s *session) write(o order) (calls, member reply, err error) {
	o.Op = "write"
	for _, n := range s.nodes {
		if _, err := n.ask(order{Op: "forget"}); err != nil {
			return calls, member, err
		}
	}
	if calls, err = s.nodes[0].ask(o); err != nil {
		return calls, member, err
	}
	s.events += calls.Events
	for _, n := range s.nodes {
		if member, err = n.ask(order{Op: "await", Count: s.events}); err != nil {
			return calls, member, err
		}
	}
	return calls, member, nil
}

// cpu returns the processor time that all processes have used, in ns.
func (s *session) cpu() (sum int64, err error) {
	for _, p := range append(slices.Clone(s.broker.processes), s.nodes...) {
		ns, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += ns
	}
	return sum, nil
}

// warm is how many events are dispatched before what is measured.
var warm = order{Callers: 1, Count: 50}

// pair measures two hubs, in two processes where the log allows it: how long a
// call takes, when the other one's member has the event, and how many events get
// through.
func (p Plan) pair(ctx context.Context, e Engine, add adder) (err error) {
	hubs := 2
	if e.Name == "none" {
		hubs = 1
	}
	s, err := p.open(ctx, e, hubs, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, _, err := s.write(warm); err != nil {
		return err
	}
	calls, member, err := s.write(order{Callers: 1, For: p.For, Pause: pause})
	if err != nil {
		return err
	}
	add(e, callP50, 0, calls.P50/1e3)
	add(e, callP99, 0, calls.P99/1e3)
	add(e, memberP50, 0, member.P50/1e3)
	add(e, memberP99, 0, member.P99/1e3)
	for _, n := range p.Callers {
		calls, _, err := s.write(order{Callers: n, For: p.For / 2})
		if err != nil {
			return fmt.Errorf("%d callers: %w", n, err)
		}
		add(e, rate, n, float64(calls.Events)/(calls.Took/1e9))
	}
	return nil
}

// flatCallers is how many callers dispatch while CPU time is measured.
const flatCallers = 16

// followers measures the CPU time of an event, of all processes together.
func (p Plan) followers(ctx context.Context, e Engine, n int, add adder) (err error) {
	if e.Name == "none" && n > 1 {
		return nil // hubs without a log have nothing to do with each other
	}
	s, err := p.open(ctx, e, n, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, _, err := s.write(warm); err != nil {
		return err
	}
	for figure, o := range map[string]order{
		cpuOne:  {Callers: 1, For: p.For, Pause: pause},
		cpuFlat: {Callers: flatCallers, For: p.For / 2},
	} {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		calls, _, err := s.write(o)
		if err != nil {
			return err
		}
		after, err := s.cpu()
		if err != nil {
			return err
		}
		add(e, figure, n, float64(after-before)/1e3/float64(calls.Events))
	}
	return nil
}

// full is more events than a hub keeps.
const full = 1100

// back measures clients that all come back at once to a process that has a full
// history: first those that resume, then, in another process, those that get a
// snapshot.
func (p Plan) back(ctx context.Context, n int, add adder) error {
	e, err := Find(storm)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		p50, last, cpu string
		resume         bool
		until          int
	}{
		{backP50, backLast, backCPU, true, full},
		{newP50, newLast, newCPU, false, 1},
	} {
		if err := p.storm(ctx, e, n, f.resume, f.until, func(took []float64, cpu int64, slab float64) {
			if f.resume {
				add(e, backSlab, n, slab)
			}
			slices.Sort(took)
			add(e, f.p50, n, stat.Quantile(0.5, stat.Empirical, took, nil)/1e6)
			add(e, f.last, n, took[len(took)-1]/1e6)
			add(e, f.cpu, n, float64(cpu)/1e3/float64(n))
		}); err != nil {
			return err
		}
	}
	return nil
}

func (p Plan) storm(ctx context.Context, e Engine, n int, resume bool, until int, found func(took []float64, cpu int64, slab float64)) (err error) {
	s, err := p.open(ctx, e, 1, snapshotSize)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, _, err := s.write(order{Callers: 1, Count: full}); err != nil {
		return err
	}
	server := s.nodes[0]
	serving, err := server.ask(order{Op: "serve"})
	if err != nil {
		return err
	}
	clients, err := run(ctx, true, p.Self[0], append(p.Self[1:], "back")...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clients.kill()) }()
	o := order{Op: "back", Addrs: serving.Addr, Count: n, Until: until}
	if resume {
		o.ID = serving.ID
	}
	slab, err := machine.Slab()
	if err != nil {
		return err
	}
	before, err := server.cpu()
	if err != nil {
		return err
	}
	r, err := clients.ask(o)
	if err != nil {
		return err
	}
	if _, err := server.ask(order{Op: "detached", Count: n}); err != nil {
		return err
	}
	after, err := server.cpu()
	if err != nil {
		return err
	}
	slabAfter, err := machine.Slab()
	if err != nil {
		return err
	}
	found(r.All, after-before, float64(slabAfter-slab)/2/float64(n)/1024)
	return nil
}
