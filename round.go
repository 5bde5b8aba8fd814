package sse

import (
	"sync"
	"time"
)

// A round is what one goroutine needs to write to several streams, one after the
// other. They mostly lack the same events, which are put together once.
type round struct {
	now      time.Time
	touched  int
	from, to *entry
	joint    []byte // what is from from to to
	buf      []byte
	other    []byte
}

var rounds = sync.Pool{New: func() any { return new(round) }}

func (r *round) release() {
	r.forget()
	rounds.Put(r)
}

// touch reads a little of each source that is about to be visited, of what never
// changes. The processor fetches all of them from memory at once, where a visit
// would wait for its own: of a walk over 8,000 members that is a twentieth.
func (r *round) touch(members []*member) {
	for _, m := range members {
		r.touched += len(m.source.url) + m.source.opened.Nanosecond()
	}
}

// forget lets go of the events.
func (r *round) forget() { r.from, r.to, r.joint = nil, nil, nil }

// join returns what an entry and those after it hold, about flightBytes of it,
// and the entry that comes next.
func (r *round) join(from *entry) ([]byte, *entry) {
	if r.from == from && !r.to.filled.Load() || r.from == from && len(r.joint) >= flightBytes {
		return r.joint, r.to
	}
	r.from, r.to, r.joint = from, from.next, from.chunk
	if !r.to.filled.Load() || len(r.joint) >= flightBytes {
		return r.joint, r.to
	}
	r.buf = append(r.buf[:0], r.joint...)
	for r.to.filled.Load() && len(r.buf) < flightBytes {
		r.buf = append(r.buf, r.to.chunk...)
		r.to = r.to.next
	}
	r.joint = r.buf
	return r.joint, r.to
}

// joinItems returns what the items hold, at least one and about flightBytes.
func (r *round) joinItems(items []item) []byte {
	if len(items) == 1 || len(items[0].chunk) >= flightBytes {
		return items[0].chunk
	}
	r.other = r.other[:0]
	for _, it := range items {
		if len(r.other) >= flightBytes {
			break
		}
		r.other = append(r.other, it.chunk...)
	}
	return r.other
}
