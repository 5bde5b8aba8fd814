package coding

import (
	"hash/crc32"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/internal/wire"
)

// Coders are those of one set, a [Coder] for each coding that a member has had. The
// zero value is ready to use.
type Coders struct{ first atomic.Pointer[Coder] }

// of returns the coder of a coding, which it makes at first.
func (cs *Coders) of(k *kind) *Coder {
	for {
		first := cs.first.Load()
		for c := first; c != nil; c = c.next {
			if c.kind == k {
				return c
			}
		}
		c := &Coder{kind: k, next: first}
		if cs.first.CompareAndSwap(first, c) {
			return c
		}
	}
}

// Join counts a member with that coding.
func (cs *Coders) Join(c Coding) {
	if !c.IsNone() {
		cs.of(c.kind).members.Add(1)
	}
}

// Leave counts it no more. With the last one the set's compressor goes. It may wait
// until an event is compressed.
func (cs *Coders) Leave(c Coding) {
	if c.IsNone() {
		return
	}
	if coder := cs.of(c.kind); coder.members.Add(-1) == 0 {
		coder.rest()
	}
}

// A Coder has the compressor for the events of one set. They are compressed in the order
// in which a member first comes to them, mostly that of the set: one for which a member
// comes only after newer ones is not shared.
type Coder struct {
	kind    *kind
	next    *Coder // of the set
	members atomic.Int64
	used    atomic.Int64 // when it compressed last, in Unix nanoseconds

	mu         sync.Mutex // below Stream.mu
	compressor Compressor // nil if the set has none
	run        *run
	last       uint64 // the stamp of the newest event that was compressed
}

// A run is what a compressor has compressed since it began. A place in it is a number of
// bytes of content.
type run struct {
	coder *Coder
	alone atomic.Int64 // deliveries of its events as pieces of their own

	// Guarded by Coder.mu.
	end  int64
	sum  uint32    // of its content
	idle []*pieces // the newest keep-alives since its last event; a slice that does not change
}

// restarts is how many deliveries there may be for each member of events that could not
// be shared before the compressor begins again, so that all members can share.
const restarts = 2

// mostIdle is how many keep-alives a stream may lack, since its interval is longer, and
// still share the event after them.
const mostIdle = 16

// make makes the pieces of an event that has none.
func (c *Coder) make(e *Event, stamp uint64, chunk wire.Chunk) *pieces {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := e.find(c.kind); p != nil {
		return p // by now
	}
	content := chunk.Block()
	p := &pieces{kind: c.kind}
	if stamp > c.last && c.readyLocked() {
		c.last = stamp
		p.before = c.run.idle
		c.compressLocked(p, content)
		c.run.idle = nil
	} else {
		p.end, p.sumOfEnd = int64(len(content)), crc32.ChecksumIEEE(content)
	}
	e.add(p)
	return p
}

// compressLocked makes the piece for the content that is next in the run.
func (c *Coder) compressLocked(p *pieces, content []byte) {
	r := c.run
	p.shared = wire.NewChunk(c.compressor.Append(nil, content))
	p.run, p.start, p.sumOfStart = r, r.end, r.sum
	p.end, p.sumOfEnd = r.end+int64(len(content)), crc32.Update(r.sum, crc32.IEEETable, content)
	r.end, r.sum = p.end, p.sumOfEnd
}

// keepAlives returns the keep-alives since the last event of a run. For a stream that has
// got all of the run it makes one more. It returns none if the run is over.
func (c *Coder) keepAlives(r *run, at int64) []*pieces {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != r {
		return nil
	}
	if at == r.end {
		p := &pieces{kind: c.kind}
		c.compressLocked(p, wire.Comment.Block())
		r.idle = append(slices.Clone(r.idle[max(len(r.idle)+1-mostIdle, 0):]), p)
	}
	return r.idle
}

// readyLocked reports whether there is a compressor for the next event.
func (c *Coder) readyLocked() bool {
	now := time.Now().UnixNano()
	switch {
	case c.compressor == nil:
		if c.members.Load() == 0 || !c.kind.sets.admit(c, now, c.kind.Sets()) {
			return false
		}
		c.compressor = c.kind.get()
	case c.run.alone.Load() <= restarts*c.members.Load():
		c.used.Store(now)
		return true
	default:
		c.compressor.Reset()
	}
	c.used.Store(now)
	c.run = &run{coder: c}
	return true
}

// rest gives up the compressor, if no member needs it.
func (c *Coder) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members.Load() == 0 && c.compressor != nil {
		c.kind.sets.remove(c)
		c.dropLocked()
	}
}

func (c *Coder) dropLocked() {
	c.kind.idle.Put(c.compressor)
	c.compressor, c.run = nil, nil
}

// setsCompressors are the coders that have a compressor.
type setsCompressors struct {
	mu sync.Mutex // below Coder.mu
	of []*Coder
}

// keepFor is how long a set keeps a compressor that it does not use, if another one
// needs it.
const keepFor = 10 * time.Second

// admit reports whether a coder may have a compressor, instead of another one if there
// are so many.
func (s *setsCompressors) admit(c *Coder, now int64, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.of) < most {
		s.of = append(s.of, c)
		return true
	}
	for i, other := range s.of {
		if now-other.used.Load() > int64(keepFor) && other.mu.TryLock() {
			other.dropLocked()
			other.mu.Unlock()
			s.of[i] = c
			return true
		}
	}
	return false
}

func (s *setsCompressors) remove(c *Coder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.of, c); i >= 0 {
		s.of = slices.Delete(s.of, i, i+1)
	}
}
