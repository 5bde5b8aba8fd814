package eventlog

import "sync/atomic"

// A Volume is a number of events, and how many bytes they have on the wire.
type Volume struct{ Events, Bytes uint64 }

// Volumes are the events of the process. What has been addressed and is none of the
// others, waits.
type Volumes struct {
	Dispatched Volume // each once
	Addressed  Volume // once for each stream that they were for
	Delivered  Volume // those that were written
	Skipped    Volume // those that a policy dropped
	Hidden     Volume // those that a view did not let through
	Unsent     Volume // those whose stream had ended

	Shared, Own, Stored Volume // those that compressed streams were sent, by their pieces
	Saved               int64  // bytes that these have less than the events
}

// A Counter counts events.
type Counter struct{ events, bytes atomic.Int64 }

// Add adds to the counter.
func (c *Counter) Add(events, bytes int64) {
	if events != 0 {
		c.events.Add(events)
	}
	if bytes != 0 {
		c.bytes.Add(bytes)
	}
}

func (c *Counter) addTo(v *Volume) {
	v.Events += uint64(c.events.Load())
	v.Bytes += uint64(c.bytes.Load())
}

// Counters are a part of the process's: who counts often has one of several, so that
// processors do not wait for each other.
type Counters struct {
	Delivered, Skipped, Hidden, Unsent, Addressed, Dispatched Counter

	// What Addressed counts has the size of events: less Saved it is that of the pieces.
	Shared, Own, Stored Counter
	Saved               atomic.Int64

	_ [40]byte // to the end of a cache line
}

var (
	counters    [16]Counters
	nextCounter atomic.Uint32
)

// SomeCounters returns counters for one who counts often.
func SomeCounters() *Counters { return CountersOf(nextCounter.Add(1)) }

// CountersOf returns the counters for a number.
func CountersOf(n uint32) *Counters { return &counters[n%uint32(len(counters))] }

// ReadVolumes adds all counters up. It reads last what has been addressed, so that this
// is never less than what has become of it. What a piece saves is counted after the piece,
// and read before it.
func ReadVolumes() (v Volumes) {
	for _, read := range []func(*Counters){
		func(c *Counters) { c.Delivered.addTo(&v.Delivered) },
		func(c *Counters) { c.Skipped.addTo(&v.Skipped) },
		func(c *Counters) { c.Hidden.addTo(&v.Hidden) },
		func(c *Counters) { c.Unsent.addTo(&v.Unsent) },
		func(c *Counters) { v.Saved += c.Saved.Load() },
		func(c *Counters) { c.Shared.addTo(&v.Shared); c.Own.addTo(&v.Own); c.Stored.addTo(&v.Stored) },
		func(c *Counters) { c.Addressed.addTo(&v.Addressed); c.Dispatched.addTo(&v.Dispatched) },
	} {
		for i := range counters {
			read(&counters[i])
		}
	}
	v.Addressed.Bytes -= uint64(v.Saved)
	return v
}
