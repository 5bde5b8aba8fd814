package coding

import (
	"sync"
	"sync/atomic"

	"example.org/sse/internal/wire"
)

// An Event has an event's pieces. They are made when they are needed first, and never
// change: at most two for each coding, however many streams are sent the event.
type Event struct {
	coders *Coders
	first  atomic.Pointer[pieces]
}

// Init makes it an event of the set with those coders.
func (e *Event) Init(cs *Coders) { e.coders = cs }

// pieces are an event's pieces in one coding.
type pieces struct {
	kind *kind
	next *pieces // in another coding

	before []*pieces // the keep-alives between the event before and this one, the newest

	run                  *run  // nil if no piece is shared
	start, end           int64 // there, or else 0 and the size of the content
	sumOfStart, sumOfEnd uint32
	shared               wire.Chunk

	once sync.Once
	own  wire.Chunk
}

func (e *Event) find(k *kind) *pieces {
	for p := e.first.Load(); p != nil; p = p.next {
		if p.kind == k {
			return p
		}
	}
	return nil
}

func (e *Event) add(p *pieces) {
	for {
		p.next = e.first.Load()
		if e.first.CompareAndSwap(p.next, p) {
			return
		}
	}
}

// pieces returns the event's pieces, the chunk of which holds the event as it is.
func (e *Event) pieces(k *kind, stamp uint64, c wire.Chunk) *pieces {
	if p := e.find(k); p != nil {
		return p
	}
	return e.coders.of(k).make(e, stamp, c)
}

// alone returns the piece that refers to nothing before itself.
func (p *pieces) alone(c wire.Chunk) wire.Chunk {
	p.once.Do(func() { p.own = wire.NewChunk(p.kind.alone(c.Block())) })
	return p.own
}
