package stream

import (
	"slices"

	"example.org/sse/internal/coding"
	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// A stream with a coding is sent pieces, which are chosen when they are about to be
// written, and then are written in that order, or the stream ends: that is what its
// State assumes. It belongs to whoever may write: the goroutine that has the turn while
// the stream is attached, or else the holder of Stream.mu.

// code replaces items by the pieces that are sent for them.
func (s *Stream) code(items []eventlog.Item) []eventlog.Item {
	if s.decoder == nil {
		return items
	}
	for i := 0; i < len(items); i++ {
		it := &items[i]
		var lead wire.Chunk
		plain := len(it.Chunk)
		switch {
		case it.Coded != nil:
			lead, it.Chunk = s.decoder.Event(it.Coded, it.Stamp, it.Chunk)
		case it.Chunk.Last():
			lead = s.decoder.End()
		default:
			lead, it.Chunk = s.decoder.Other(it.Chunk)
		}
		it.Coded = nil
		if it.Stamp > 0 {
			s.counters().Addressed.Add(0, int64(len(it.Chunk)-plain))
		}
		if lead != nil {
			items = slices.Insert(items, i, eventlog.Item{Chunk: lead})
			i++
		}
	}
	return items
}

// decoded returns what the client's decoder has seen, for codeAgain.
func (s *Stream) decoded() (before coding.State) {
	if s.decoder != nil {
		before = *s.decoder
	}
	return before
}

// codeAgain is code for items for which pieces have been chosen since then.
func (s *Stream) codeAgain(before coding.State, items []eventlog.Item) []eventlog.Item {
	if s.decoder != nil {
		*s.decoder = before
	}
	return s.code(items)
}

// prepare makes the pieces of what waits for the members of a stream that is held, all
// of a history perhaps: else a goroutine that walks over many streams would.
func (s *Stream) prepare() {
	if s.decoder == nil {
		return
	}
	last := eventlog.LastStamp()
	var waiting []*eventlog.Entry
	s.mu.Lock()
	for _, m := range s.members {
		waiting = append(waiting, m.Next())
	}
	s.mu.Unlock()
	for _, e := range waiting {
		trial := coding.NewState(s.decoder.Coding())
		for ; e.Filled() && e.Stamp() <= last; e = e.Next() {
			trial.Event(e.Coded(), e.Stamp(), e.Chunk())
		}
	}
}

// taken counts what take has returned as delivered. Bytes are counted as they are written:
// what was addressed to the stream is corrected, so that the rest is what is pending.
func (w *writer) taken(s *Stream, n int) {
	if s.decoder == nil {
		w.delivered(w.count, n)
		return
	}
	s.counters().Addressed.Add(0, int64(n-w.plain))
	w.delivered(w.pieces, n)
}

// take returns what is sent for an entry and those after it, and the entry that comes
// next.
func (w *writer) take(s *Stream, from *eventlog.Entry) ([]byte, *eventlog.Entry) {
	if s.decoder == nil {
		return w.join(from)
	}
	lead, piece := s.decoder.Event(from.Coded(), from.Stamp(), from.Chunk())
	to := from.Next()
	w.pieces, w.plain = 1, len(from.Chunk())
	if lead == nil && !to.Filled() {
		return piece, to
	}
	w.items = append(append(w.items[:0], lead...), piece...)
	for ; to.Filled() && w.plain+len(to.Chunk()) <= flightBytes; to = to.Next() {
		w.pieces++
		w.plain += len(to.Chunk())
		lead, piece = s.decoder.Event(to.Coded(), to.Stamp(), to.Chunk())
		w.items = append(append(w.items, lead...), piece...)
	}
	return w.items, to
}
