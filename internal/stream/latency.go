package stream

import (
	"sync/atomic"
	"time"
)

// latencySample is how many deliveries there are for each that is measured: to look at
// the clock twice takes a percent of a delivery to one member.
const latencySample = 16

// LatencyBounds are the upper bounds of the histogram's buckets. Another one has no
// bound.
var LatencyBounds = [...]time.Duration{
	100 * time.Microsecond, 300 * time.Microsecond, time.Millisecond, 3 * time.Millisecond,
	10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond,
	time.Second, 3 * time.Second, 10 * time.Second,
}

// A Latency is a histogram of the time from a dispatch to when all members of its set
// have been written to, or at least their goroutines been woken, of a sample.
type Latency struct {
	Counts [len(LatencyBounds) + 1]uint64 // in each bucket
	Sum    time.Duration
}

var latency histogram

type histogram struct {
	counts [len(LatencyBounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(LatencyBounds) && d > LatencyBounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// ReadLatency returns the histogram.
func ReadLatency() (l Latency) {
	for i := range latency.counts {
		l.Counts[i] = latency.counts[i].Load()
	}
	l.Sum = time.Duration(latency.sum.Load())
	return l
}
