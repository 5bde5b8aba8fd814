package sse

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// A program may dispatch faster than the machine can write. Then the members
// fall behind however fast their clients are, and dispatching has to wait: for
// the processor, never for a client. The two are told apart by how long a
// client takes for a piece. If the processor is free, one that is ready to
// read takes it almost at once; if goroutines queue for the processor, it has
// to be given its turn.
const (
	// paceBytes is how far a set may be ahead of the last walk over its members.
	paceBytes = 32 << 10

	// paceLate is how much waits for a member that is late; a quarter of its
	// backlog is enough, too. Less makes for more system calls, more for long
	// rounds, in which the dispatching goroutine has to queue as well.
	paceLate = 64 << 10

	// paceWait is the longest that one dispatch is held up.
	paceWait = 20 * time.Millisecond

	// paceTick is the time between walks while the members are behind.
	paceTick = time.Millisecond

	// readingBacklogs is how many backlogs may wait for a client that still
	// takes what it gets, if slowly.
	readingBacklogs = 4
)

// paceStall returns after what time without progress a client is itself the
// cause that it is behind. The scheduler is fair in the long run only: with
// every processor busy, a goroutine may be ready for a second before it runs.
func paceStall(saturated bool) time.Duration {
	if !saturated {
		return 50 * time.Millisecond
	}
	return 2 * time.Second
}

// ahead reports whether the set has got ahead of its members as far as it may.
// The caller holds log.mu.
func (s *Set) ahead() bool {
	return s.behind || s.total.Load()-s.walked+s.offered > paceBytes
}

// tooFast returns nil, or a channel to wait for because the program dispatches
// faster than the machine can write. The caller holds log.mu.
func (s *Set) tooFast() <-chan struct{} {
	if s.open == 0 || !s.ahead() {
		return nil
	}
	if s.calm == nil {
		s.calm = make(chan struct{})
	}
	return s.calm
}

// wait waits for the machine, if calm is not nil.
func wait(calm <-chan struct{}) {
	if calm == nil {
		return
	}
	timer := time.NewTimer(paceWait)
	defer timer.Stop()
	select {
	case <-calm:
	case <-timer.C:
	}
}

// processor tells whether goroutines queue for the processor.
var processor struct {
	mu     sync.Mutex
	sample []metrics.Sample
	at     time.Time     // of the last look
	waited time.Duration // by all goroutines together, until then
	before bool          // the verdict of the last look
	now    bool
}

// saturated reports whether lately, over 10 ms or more, there were on average
// as many goroutines in the queue for the processor as there are processors.
func saturated() bool {
	p := &processor
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.at)
	if elapsed < 10*time.Millisecond && elapsed >= 0 {
		return p.before || p.now
	}
	if p.sample == nil {
		p.sample = []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	}
	metrics.Read(p.sample)
	if p.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return false
	}
	h := p.sample[0].Value.Float64Histogram()
	var seconds float64
	for i, n := range h.Counts {
		if n > 0 {
			seconds += float64(n) * max(h.Buckets[i], 0)
		}
	}
	waited := time.Duration(seconds * schedulerSampling * float64(time.Second))
	p.before, p.now = p.now, waited-p.waited >= elapsed*time.Duration(runtime.GOMAXPROCS(0))
	p.at, p.waited = time.Now(), waited
	return p.before || p.now
}

// schedulerSampling is how many times a goroutine becomes ready for each one
// that the runtime measures.
const schedulerSampling = 8
