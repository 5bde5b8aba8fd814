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
	var t tally
	for i := 0; i < len(items); i++ {
		it := &items[i]
		var lead wire.Chunk
		plain := len(it.Chunk)
		switch {
		case it.Coded != nil:
			lead, it.Chunk = s.decoder.Event(it.Coded, it.Stamp, it.Chunk)
			t.event(s.decoder, plain, it.Chunk)
		case it.Chunk.Last():
			lead = s.decoder.End()
		case &it.Chunk[0] == &wire.Comment[0]:
			lead, it.Chunk = s.decoder.KeepAlive()
		default:
			if lead, it.Chunk = s.decoder.Other(it.Chunk); it.Stamp > 0 {
				t.count(&t.stored, plain, it.Chunk)
			}
		}
		it.Coded = nil
		if lead != nil {
			items = slices.Insert(items, i, eventlog.Item{Chunk: lead})
			i++
		}
	}
	t.addTo(s.counters())
	return items
}

// A tally counts the pieces that were chosen for events, without what leads to them.
type tally struct {
	shared, own, stored struct{ events, bytes int64 }
	saved               int64 // bytes
}

// event counts the piece that a set's event, of so many bytes, has become.
func (t *tally) event(decoder *coding.State, plain int, piece wire.Chunk) {
	if decoder.IsShared() {
		t.count(&t.shared, plain, piece)
	} else {
		t.count(&t.own, plain, piece)
	}
}

func (t *tally) count(kind *struct{ events, bytes int64 }, plain int, piece wire.Chunk) {
	kind.events++
	kind.bytes += int64(len(piece))
	t.saved += int64(plain - len(piece))
}

func (t *tally) addTo(c *eventlog.Counters) {
	c.Shared.Add(t.shared.events, t.shared.bytes)
	c.Own.Add(t.own.events, t.own.bytes)
	c.Stored.Add(t.stored.events, t.stored.bytes)
	if t.saved != 0 {
		c.Saved.Add(t.saved)
	}
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

// taken counts what take has returned as delivered, n bytes.
func (w *writer) taken(s *Stream, n int) {
	if s.decoder == nil {
		w.delivered(w.count, n)
		return
	}
	t := &w.took
	w.delivered(int(t.shared.events+t.own.events), int(t.shared.bytes+t.own.bytes))
	w.pieces.shared.events += t.shared.events
	w.pieces.shared.bytes += t.shared.bytes
	w.pieces.own.events += t.own.events
	w.pieces.own.bytes += t.own.bytes
	w.pieces.saved += t.saved
}

// take returns what is sent for an entry and those after it, and the entry that comes
// next.
func (w *writer) take(s *Stream, from *eventlog.Entry) ([]byte, *eventlog.Entry) {
	if s.decoder == nil {
		return w.join(from)
	}
	w.took = tally{}
	lead, piece := s.decoder.Event(from.Coded(), from.Stamp(), from.Chunk())
	to, plain := from.Next(), len(from.Chunk())
	w.took.event(s.decoder, plain, piece)
	if lead == nil && !to.Filled() {
		return piece, to
	}
	w.items = append(append(w.items[:0], lead...), piece...)
	for ; to.Filled() && plain+len(to.Chunk()) <= flightBytes; to = to.Next() {
		plain += len(to.Chunk())
		lead, piece = s.decoder.Event(to.Coded(), to.Stamp(), to.Chunk())
		w.took.event(s.decoder, len(to.Chunk()), piece)
		w.items = append(append(w.items, lead...), piece...)
	}
	return w.items, to
}
