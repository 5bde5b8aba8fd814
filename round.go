package sse

import (
	"sync"
	"time"
)

// A round is what one goroutine needs to write to several streams, one after the
// other. They mostly lack the same events, which are put together once.
type round struct {
	now     time.Time
	touched int // keeps the compiler from leaving touch out

	from, to *entry
	joint    []byte // what is in the entries from the one to the other
	buf      []byte // for joint
	items    []byte // for joinItems
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

// join returns what an entry and those after it hold, and the entry that comes
// next: flightBytes at most, or one larger event, which is not copied.
func (r *round) join(from *entry) ([]byte, *entry) {
	if r.from == from && !r.fits() {
		return r.joint, r.to
	}
	r.from, r.to, r.joint = from, from.next, from.chunk
	if !r.fits() {
		return r.joint, r.to
	}
	r.buf = append(r.buf[:0], r.joint...)
	for r.joint = r.buf; r.fits(); r.to = r.to.next {
		r.joint = append(r.joint, r.to.chunk...)
	}
	r.buf = r.joint
	return r.joint, r.to
}

// fits reports whether there is another event, and room for it.
func (r *round) fits() bool {
	return r.to.filled.Load() && len(r.joint)+len(r.to.chunk) <= flightBytes
}

// joinItems returns what the items hold, at least one, and flightBytes at most or
// one larger item, which is not copied.
func (r *round) joinItems(items []item) []byte {
	if len(items) == 1 || len(items[0].chunk)+len(items[1].chunk) > flightBytes {
		return items[0].chunk
	}
	r.items = r.items[:0]
	for _, it := range items {
		if len(r.items)+len(it.chunk) > flightBytes {
			break
		}
		r.items = append(r.items, it.chunk...)
	}
	return r.items
}
