package coding

import (
	"hash/crc32"

	"example.org/sse/internal/wire"
)

// A State is what the decoder of one stream has put out, or will have once it has got
// all that the State has returned. It is not synchronized: what it returns must be
// sent, in that order.
//
// Its methods return what to send first, mostly nothing, and the piece.
type State struct {
	kind *kind

	// The decoder's last output is the content of a run from one place to another.
	run      *run
	from, to int64

	// The CRC-32 of all output, and its size, as they were at from.
	sum, size uint32
	sumOfFrom uint32 // that of the run
	sumOfTo   uint32

	inside *run // whose piece was sent last, and may go on
	begun  bool
}

// NewState returns the state of a decoder of that coding, which has seen nothing.
func NewState(c Coding) *State { return &State{kind: c.kind} }

// Coding returns the stream's coding. That of a nil State is none.
func (s *State) Coding() Coding {
	if s == nil {
		return Coding{}
	}
	return Coding{s.kind}
}

// Event returns a set's event, which the chunk holds as it is.
func (s *State) Event(e *Event, stamp uint64, c wire.Chunk) (lead, piece wire.Chunk) {
	p := e.pieces(s.kind, stamp, c)
	missed := s.idle(p.before)
	lead, piece = s.send(p, c)
	if p.run != nil && !s.IsShared() {
		p.run.alone.Add(1)
	}
	if missed != nil {
		lead = missed // after which nothing has to lead to the piece
	}
	return lead, piece
}

// KeepAlive returns a comment. Streams that can share the set's next event share the
// comment, too, and can so after it: those to which no comment was due are sent it with
// that event.
func (s *State) KeepAlive() (lead, piece wire.Chunk) {
	if s.run != nil {
		if idle := s.idle(s.run.coder.keepAlives(s.run, s.to)); idle != nil {
			return nil, idle
		}
	}
	return s.Other(wire.Comment)
}

// idle returns those of the keep-alives that the decoder lacks, nil if it lacks none, or
// more.
func (s *State) idle(keepAlives []*pieces) wire.Chunk {
	var b []byte
	for _, p := range keepAlives {
		if s.run == p.run && s.to == p.start {
			_, piece := s.send(p, wire.Comment)
			b = append(b, piece.Block()...)
		}
	}
	if b == nil {
		return nil
	}
	return wire.NewChunk(b)
}

// send returns what is sent for the content with those pieces.
func (s *State) send(p *pieces, c wire.Chunk) (lead, piece wire.Chunk) {
	gap := p.run == nil || s.run != p.run || s.to != p.start
	if gap {
		s.fold()
		s.run, s.from, s.sumOfFrom = p.run, p.start, p.sumOfStart
	}
	s.to, s.sumOfTo = p.end, p.sumOfEnd
	switch {
	case p.run == nil:
		return s.lead(nil), p.alone(c)
	case s.from > s.kind.reach(p.start):
		return s.lead(nil), p.alone(c)
	case gap:
		lead = s.lead(nil)
	default:
		lead = s.lead(p.run)
	}
	s.inside = p.run
	return lead, p.shared
}

// Size returns how many bytes the decoder has put out, modulo 2^32.
func (s *State) Size() uint32 { return s.size + uint32(s.to-s.from) }

// IsShared reports whether the piece that was returned last is one that streams share.
func (s *State) IsShared() bool { return s.inside != nil }

// reach returns the oldest place in its run to which the shared piece at a place may
// refer.
func (k *kind) reach(start int64) int64 {
	if w := k.Window(); w >= 0 {
		return max(start-w, 0)
	}
	return 0
}

// Other returns what is sent to this stream alone, stored.
func (s *State) Other(c wire.Chunk) (lead, piece wire.Chunk) {
	content := c.Block()
	s.fold()
	s.run = nil
	s.sum = crc32.Update(s.sum, crc32.IEEETable, content)
	s.size += uint32(len(content))
	return s.lead(nil), wire.NewChunk(s.kind.AppendStored(nil, content))
}

// End returns what is sent before the end of the stream, nil if nothing.
func (s *State) End() wire.Chunk {
	s.fold()
	var end []byte
	if lead := s.lead(nil); lead != nil {
		end = append(end, lead.Block()...)
	}
	if end = append(end, s.kind.Tail(s.sum, s.size)...); len(end) == 0 {
		return nil
	}
	return wire.NewChunk(end)
}

// fold counts the output since from, whose bytes need not be looked at: the CRC-32 of a run
// is known at each of its places.
func (s *State) fold() {
	n := s.to - s.from
	s.sum = multiply(s.sum^s.sumOfFrom, power(n)) ^ s.sumOfTo
	s.size += uint32(n)
	s.from, s.sumOfFrom, s.sumOfTo = s.to, 0, 0
}

// lead returns what is sent before a piece that goes on with a run, or with none.
func (s *State) lead(run *run) wire.Chunk {
	var b []byte
	if !s.begun {
		b = s.kind.Head()
	} else if s.inside != nil && s.inside != run {
		b = s.kind.Leave()
	}
	s.begun, s.inside = true, nil
	if len(b) == 0 {
		return nil
	}
	return wire.NewChunk(b)
}
