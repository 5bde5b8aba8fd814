package stream

import (
	"runtime/metrics"
	"sync"
	"time"
)

// processor measures whether goroutines wait for the processor.
var processor struct {
	mu      sync.Mutex
	sample  [1]metrics.Sample
	counts  []uint64  // of the last look
	at      time.Time // of the last look
	crowded bool      // at the last look
}

const (
	// lookEvery is the time between two looks.
	lookEvery = 10 * time.Millisecond

	// longWait is for how long goroutines wait on average, from when they are ready
	// until they run, where the processor is crowded.
	longWait = time.Millisecond / 2
)

// crowded reports whether goroutines have lately had to wait long for the
// processor: then a client that is late, in this process or on this machine, may
// only want a processor as well.
func crowded() bool {
	p := &processor
	p.mu.Lock()
	defer p.mu.Unlock()
	if elapsed := time.Since(p.at); elapsed < lookEvery && elapsed >= 0 {
		return p.crowded
	}
	p.at = time.Now()
	p.sample[0].Name = "/sched/latencies:seconds"
	metrics.Read(p.sample[:])
	if p.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return false
	}
	h := p.sample[0].Value.Float64Histogram()
	if len(p.counts) != len(h.Counts) {
		p.counts = make([]uint64, len(h.Counts))
	}
	var waited, n float64
	for i, count := range h.Counts {
		waited += float64(count-p.counts[i]) * max(h.Buckets[i], 0)
		n += float64(count - p.counts[i])
		p.counts[i] = count
	}
	p.crowded = n > 0 && waited/n >= longWait.Seconds()
	return p.crowded
}
