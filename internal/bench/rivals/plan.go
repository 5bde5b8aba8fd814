//go:build linux

package rivals

import (
	"context"
	"slices"
	"time"

	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/bench/subject"
)

// A Plan says what to measure.
type Plan struct {
	Subjects []subject.Subject
	Baseline string // the program of an older version of our subjects, if any
	Slices   int    // of a session's phases
	Measures []string
	Streams  []int // of one, flat and idle
	Sizes    []int // of the data, of one and flat
	Crowd    int   // streams of idle alone; 0: not measured
	Leaving  int   // streams of shutdown and keepalive
	Repeats  int   // of all except stalled and keepalive, which take long and are averages themselves
	For      time.Duration
	Stalled  time.Duration
	Idle     time.Duration // of keepalive
	Patience time.Duration // how long a server may make no progress before it counts as hanging
}

const (
	deliveries     = 40_000 // a second, of one: the rate for a number of streams
	stalledStreams = 500
	stalledClients = 5        // of these
	stalledSize    = 16 << 10 // on loopback a socket that nobody reads takes 2 MiB
	stalledRate    = 40       // so that it is full within 4 s
)

// Run measures, and passes each result to found.
func (p Plan) Run(ctx context.Context, found func(report.Result)) error {
	for round, sessions := range p.Sessions() {
		for _, s := range sessions {
			results := s.Run(ctx, p.Patience)
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, r := range results {
				r.Round += round * max(1, p.Slices)
				found(r)
			}
		}
	}
	return nil
}

// Sessions returns the sessions of each round. The subjects take turns: what else the
// machine does slows down all of them.
func (p Plan) Sessions() [][]Session {
	rounds := make([][]Session, p.Repeats)
	for i := range rounds {
		add := func(streams, stalled int, phases ...Phase) {
			phases = slices.DeleteFunc(phases, func(f Phase) bool { return !slices.Contains(p.Measures, f.Measure) })
			rounds[i] = append(rounds[i], p.turn(Session{Streams: streams, Stalled: stalled, Phases: phases})...)
		}
		for _, n := range p.Streams {
			phases := []Phase{{Measure: "idle"}}
			for _, size := range p.Sizes {
				phases = append(phases,
					Phase{"one", size, p.For, deliveries / float64(n)},
					Phase{"flat", size, p.For / 2, 0})
			}
			add(n, 0, phases...)
		}
		if p.Crowd > 0 {
			add(p.Crowd, 0, Phase{Measure: "idle"})
		}
		add(p.Leaving, 0, Phase{Measure: "shutdown"})
		if i == 0 {
			add(stalledStreams-stalledClients, stalledClients, Phase{"stalled", stalledSize, p.Stalled, stalledRate})
			add(p.Leaving, 0, Phase{Measure: "keepalive", For: p.Idle})
		}
	}
	return rounds
}

// turn returns the session of every subject.
func (p Plan) turn(s Session) (sessions []Session) {
	if len(s.Phases) == 0 {
		return nil
	}
	for _, s.Subject = range p.Subjects {
		if s.Phases[0].Measure == "keepalive" && (!s.Subject.Ours || s.Subject.HTTP2) {
			continue // the others have none, or another interval
		}
		if s.Slices = p.Slices; s.Subject.Ours {
			s.Baseline = p.Baseline
		}
		sessions = append(sessions, s)
	}
	return sessions
}

// Rows returns the rows of the report.
func (p Plan) Rows() (rows []report.Row) {
	for _, s := range p.Subjects {
		row := report.Row{Subject: s.Name, Base: subject.Limit, Ours: s.Ours}
		if s.Ours && p.Baseline != "" {
			rows = append(rows, report.Row{Subject: report.Before(s.Name), Base: subject.Limit})
		}
		rows = append(rows, row)
	}
	return rows
}
