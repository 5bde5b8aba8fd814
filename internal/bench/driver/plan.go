//go:build linux

package driver

import (
	"slices"
	"time"

	"example.org/sse/internal/bench/subject"
)

// A Plan is what is to be measured.
type Plan struct {
	Subjects   []subject.Subject
	Measures   []Measure
	Streams    []int // of One, Flat and Idle
	Sizes      []int // of the data, of One and Flat
	Crowd      int   // streams of Idle alone; 0: not measured
	Leaving    int   // streams of Shutdown and KeepAlive
	Deliveries int   // a second, of One: the rate for a number of streams
	Repeats    int   // of all but Stalled and KeepAlive, which take long and are averages themselves
	For        time.Duration
	StalledFor time.Duration
	KeepAlive  time.Duration
}

const (
	stalledStreams = 500
	stalledShare   = 100      // one of so many
	stalledSize    = 16 << 10 // on loopback a socket that nobody reads takes 2 MiB
	stalledRate    = 40       // so that it is full within 4 s
)

// Sessions returns the sessions of each round. They go from subject to subject,
// never all of one in a row: what else the machine does meets all of them.
func (p Plan) Sessions() [][]Session {
	rounds := make([][]Session, p.Repeats)
	for i := range rounds {
		for _, n := range p.Streams {
			rounds[i] = p.add(rounds[i], n, 0, p.fanOut(n)...)
		}
		if p.Crowd > 0 {
			rounds[i] = p.add(rounds[i], p.Crowd, 0, p.wanted(Phase{Measure: Idle})...)
		}
		rounds[i] = p.add(rounds[i], p.Leaving, 0, p.wanted(Phase{Measure: Shutdown})...)
		if i > 0 {
			continue
		}
		n := stalledStreams / stalledShare
		rounds[i] = p.add(rounds[i], stalledStreams-n, n, p.wanted(Phase{
			Measure: Stalled,
			Size:    stalledSize,
			For:     p.StalledFor,
			Rate:    stalledRate,
		})...)
		rounds[i] = p.add(rounds[i], p.Leaving, 0, p.wanted(Phase{Measure: KeepAlive, For: p.KeepAlive})...)
	}
	return rounds
}

// fanOut returns the phases that share their streams.
func (p Plan) fanOut(streams int) []Phase {
	phases := []Phase{{Measure: Idle}}
	for _, size := range p.Sizes {
		phases = append(phases,
			Phase{Measure: One, Size: size, For: p.For, Rate: float64(p.Deliveries) / float64(streams)},
			Phase{Measure: Flat, Size: size, For: p.For / 2})
	}
	return p.wanted(phases...)
}

func (p Plan) wanted(phases ...Phase) []Phase {
	return slices.DeleteFunc(phases, func(f Phase) bool { return !slices.Contains(p.Measures, f.Measure) })
}

// add adds a session of every subject.
func (p Plan) add(sessions []Session, streams, stalled int, phases ...Phase) []Session {
	if len(phases) == 0 {
		return sessions
	}
	for _, s := range p.Subjects {
		if phases[0].Measure == KeepAlive && (!s.Ours || s.HTTP2) {
			continue // the others have none, or another one
		}
		sessions = append(sessions, Session{Subject: s, Streams: streams, Stalled: stalled, Phases: phases})
	}
	return sessions
}
