//go:build linux

package client

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"example.org/sse/internal/bench/control"
	"example.org/sse/internal/bench/machine"
)

// MaxEvents is how many events a client process can keep account of.
const MaxEvents = 1 << 18

// A tally is how far the clients are. They report to it in parties, which are
// the single streams, or all streams of one reader.
type tally struct {
	lacking []atomic.Int32 // parties that lack the event, by its number
	lasts   []int64        // when that became none; valid up to complete
	changed chan struct{}  // holds one token if anything below did

	greeted  atomic.Int64
	complete atomic.Int64
	ended    atomic.Int64
	clean    atomic.Int64
	lastEnd  atomic.Int64

	mu     sync.Mutex
	fault  string        // the first one
	faulty map[int]Order // by stream, as it was after its last fault
}

func newTally(parties int) *tally {
	t := &tally{
		lacking: make([]atomic.Int32, MaxEvents),
		lasts:   make([]int64, MaxEvents),
		changed: make(chan struct{}, 1),
		faulty:  make(map[int]Order),
	}
	for i := range t.lacking {
		t.lacking[i].Store(int32(parties))
	}
	return t
}

func (t *tally) poke() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// have says that another party has the event. The parties must have the one
// before it.
func (t *tally) have(event int) {
	if t.lacking[event].Add(-1) == 0 {
		t.lasts[event] = machine.Monotonic()
		t.complete.Store(int64(event))
		t.poke()
	}
}

// greet says that another stream has had its first event.
func (t *tally) greet() {
	t.greeted.Add(1)
	t.poke()
}

// end says that another stream has ended.
func (t *tally) end(clean bool) {
	if clean {
		t.clean.Add(1)
	}
	t.lastEnd.Store(machine.Monotonic())
	t.ended.Add(1)
	t.poke()
}

// fail keeps the first thing that went wrong.
func (t *tally) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == "" {
		t.fault = err.Error()
	}
	t.poke()
}

// misorder is told of a stream whose event was not the next one.
func (t *tally) misorder(stream int, o *Order, event int) {
	t.mu.Lock()
	copied := *o
	copied.missing = maps.Clone(o.missing) // the stream goes on
	t.faulty[stream] = copied
	t.mu.Unlock()
	t.fail(fmt.Errorf("event %d came out of order to client %d, which has %d", event, stream, o.Last()))
}

func (t *tally) progress() *control.Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &control.Progress{
		Greeted:  int(t.greeted.Load()),
		Complete: int(t.complete.Load()),
		Ended:    int(t.ended.Load()),
		Fault:    t.fault,
	}
}

func (t *tally) report(after int) *control.ClientReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &control.ClientReport{
		Lasts:   t.lasts[after+1 : max(after, int(t.complete.Load()))+1],
		Clean:   int(t.clean.Load()),
		LastEnd: t.lastEnd.Load(),
	}
	for _, o := range t.faulty {
		r.Lost, r.Doubled, r.Swapped = r.Lost+o.Lost(), r.Doubled+o.Doubled, r.Swapped+o.Swapped
	}
	return r
}
