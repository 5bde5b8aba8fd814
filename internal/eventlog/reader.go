package eventlog

import (
	"maps"
	"slices"

	"example.org/sse/backplane"
)

// A Reader is a member's place in a topic. Its methods are not synchronized.
type Reader struct {
	topic  *Topic
	next   *Entry // the first that was not taken; never nil once it is open
	start  int64  // where the backlog begins, in bytes of the topic: a replay does not count
	latest map[string]Item
	bytes  int64 // in latest
	end    place // where the topic was when the reader left it

	// Guarded by Log.mu.
	placed bool // and counted as a reader
	left   bool
}

// A place is one in a topic: how many events, and bytes of them, are before it.
type place struct{ number, offset int64 }

func (e *Entry) place() place { return place{e.number, e.offset} }

// add counts what is between two places.
func (c *Counter) add(from, to place) { c.Add(to.number-from.number, to.offset-from.offset) }

// nowhere is where a reader stands that has no place. It is never filled.
var nowhere Entry

// Open makes the reader one of the topic. Nothing waits for it before it is placed.
func (r *Reader) Open(t *Topic) { *r = Reader{topic: t, next: &nowhere} }

// A Place is where a reader begins; see [Log.Place].
type Place struct {
	topic   *Topic
	next    *Entry
	start   int64
	fresh   bool // the reader was not counted before
	counted bool // and it is now

	Replay bool // the reader begins before the present, without having resumed
	Lost   bool // the topic no longer has its first event
}

// Placement is what Place has found.
type Placement struct {
	Places  []Place
	Resumed bool
	Replay  bool   // some of the places have it
	Stamp   uint64 // what is sent before all that is read from the places has this stamp
	Present uint64 // events of the log with a smaller stamp have been appended
	ID      string // of the newest event of a shared log, for a client that has none; empty if there is none
	Gaps    uint64 // of the log so far
}

// Place places readers in topics of the log: all after the event that id names, if
// every topic has kept all that followed, or else where the topic has its newcomers
// begin. From then on they are counted as readers. Readers that have left stay out.
// It reports false, and does nothing, if the log is not live.
func (l *Log) Place(topics []*Topic, readers []*Reader, id string) (p Placement, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live {
		return p, false
	}
	stamp, resumed := l.find(id, topics)
	for _, t := range topics {
		resumed = resumed && stamp >= t.forgotten
	}
	present := NextStamp()
	p = Placement{Stamp: present, Present: present, Resumed: resumed, Gaps: l.gaps, Places: make([]Place, len(readers))}
	if l.Shared && l.cursor.Seq > 0 && l.Events >= 0 {
		p.ID = string(l.appendID(nil))
	}
	for i, t := range topics {
		r := readers[i]
		place := Place{topic: t, next: t.tail, start: t.tail.offset, fresh: !r.placed && !r.left, Lost: t.lost}
		if place.fresh {
			r.placed = true
			t.readers++
		}
		place.counted = r.placed && !r.left
		switch {
		case resumed:
			place.next = t.after(stamp)
		case t.replaysLocked():
			place.next, place.Replay = t.kept, true
			p.Replay, p.Stamp = true, min(p.Stamp, t.kept.stamp-1)
		}
		if place.fresh {
			l.counts.Addressed.add(place.next.place(), t.tail.place())
		}
		p.Places[i] = place
	}
	return p, true
}

// replaysLocked reports whether a newcomer begins with what is kept.
func (t *Topic) replaysLocked() bool {
	return t.kept != nil && (t.Replay == ReplayKept || t.Replay == ReplayWhole && !t.lost)
}

// after returns the first entry that is newer than the stamp.
func (t *Topic) after(stamp uint64) *Entry {
	if stamp >= t.newest {
		return t.tail // mostly
	}
	e := t.kept
	for e != nil && e.Filled() && e.stamp <= stamp {
		e = e.next
	}
	if e == nil {
		return t.tail
	}
	return e
}

// Set lets the reader go on from a place.
func (r *Reader) Set(p Place) {
	if !p.counted {
		return // it has left
	}
	c := r.topic.log.counts
	if !p.fresh && r.next != &nowhere {
		c.Addressed.add(p.next.place(), r.next.place())
	}
	c.Unsent.Add(int64(len(r.latest)), r.bytes)
	r.next, r.start, r.latest, r.bytes = p.next, p.start, nil, 0
}

// Miss counts what a reader would have had to read from a place: it has left before.
func (r *Reader) Miss(p Place) {
	if !p.fresh {
		return
	}
	l := p.topic.log
	l.mu.Lock()
	end := r.end
	l.mu.Unlock()
	l.counts.Unsent.add(p.next.place(), end)
}

// Allow has what waits for the reader now not count as backlog.
func (r *Reader) Allow() { r.start = r.topic.Total() }

// Release lets go of all events, and of the topic, which the reader has left.
func (r *Reader) Release() {
	if r.topic != nil && r.next != &nowhere {
		c := r.topic.log.counts
		c.Unsent.Add(int64(len(r.latest)), r.bytes)
		if end := r.end; r.next.number <= end.number {
			c.Unsent.add(r.next.place(), end)
		} else {
			c.Addressed.add(end, r.next.place()) // it has read on since
		}
	}
	r.topic, r.next, r.latest, r.bytes = nil, &nowhere, nil, 0
}

// Leave takes a reader out of the topic's count.
func (t *Topic) Leave(r *Reader) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	if r.left {
		return
	}
	r.left, r.end = true, t.tail.place()
	if r.placed {
		if t.readers--; t.readers == 0 {
			t.log.holdIdle(t)
		}
	}
}

// Has reports whether a reader of the topic is counted.
func (t *Topic) Has(r *Reader) bool {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	return r.placed && !r.left
}

// PassReaders counts an entry of a shared log that is for the readers which were placed
// in the topic before it, and returns which of a list these are.
func (t *Topic) PassReaders(c backplane.Cursor, readers []*Reader) (placed []bool) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	t.log.passLocked(c)
	for _, r := range readers {
		placed = append(placed, r.placed && !r.left)
	}
	return placed
}

// Next returns the first entry that was not taken. It may be an empty one.
func (r *Reader) Next() *Entry { return r.next }

// Replaying reports whether the next entry does not count as backlog.
func (r *Reader) Replaying() bool { return r.next.offset < r.start }

// Advance moves the reader to an entry.
func (r *Reader) Advance(to *Entry) { r.next = to }

// Pending reports whether an event waits.
func (r *Reader) Pending() bool { return len(r.latest) > 0 || r.next.Filled() }

// Several reports whether more than one event waits.
func (r *Reader) Several() bool {
	return r.next.Filled() && (len(r.latest) > 0 || r.next.next.Filled())
}

// Compacted reports whether events wait of which only the latest of each key is
// left.
func (r *Reader) Compacted() bool { return len(r.latest) > 0 }

// Waiting returns how many bytes wait, and for how many of them the next event
// accounts.
func (r *Reader) Waiting() (bytes, next int64) {
	if !r.next.Filled() {
		return r.bytes, 0
	}
	return max(r.topic.Total()-max(r.next.offset, r.start), 0) + r.bytes, int64(len(r.next.chunk))
}

// Take appends to items what waits, up to a stamp, and moves on.
func (r *Reader) Take(items []Item, horizon uint64) []Item {
	for ; r.next.Filled() && r.next.stamp <= horizon; r.next = r.next.next {
		items = append(items, r.next.Item())
	}
	return items
}

// TakeLatest is Take, of the latest event of each key.
func (r *Reader) TakeLatest(items []Item, horizon uint64) []Item {
	r.Compact(horizon)
	first := len(items)
	items = slices.AppendSeq(items, maps.Values(r.latest))
	slices.SortFunc(items[first:], ByStamp)
	r.latest, r.bytes = nil, 0
	return items
}

// Compact replaces what waits, up to a stamp, by the latest event of each key.
func (r *Reader) Compact(horizon uint64) {
	if r.latest == nil {
		r.latest = make(map[string]Item)
	}
	for ; r.next.Filled() && r.next.stamp <= horizon; r.next = r.next.next {
		e := r.next
		if old := int64(len(r.latest[e.key].Chunk)); old > 0 {
			r.bytes -= old
			r.topic.log.counts.Skipped.Add(1, old)
		}
		r.bytes += int64(len(e.chunk))
		r.latest[e.key] = e.Item()
	}
}

// Keys returns of how many keys an event is left by Compact.
func (r *Reader) Keys() int { return len(r.latest) }

// Skip drops what waits except the newest event, and returns how many events it
// dropped.
func (r *Reader) Skip() (n uint64) {
	from := r.next.place()
	for r.Several() {
		r.next = r.next.next
		n++
	}
	if n > 0 {
		r.topic.log.counts.Skipped.add(from, r.next.place())
	}
	return n
}

// Reach returns the stamp up to which the reader holds about as many bytes as
// most, or the given stamp if that is less.
func (r *Reader) Reach(most int64, stamp uint64) uint64 {
	for e := r.next; e.Filled() && e.stamp < stamp; e = e.next {
		if most -= int64(len(e.chunk)); most <= 0 {
			return e.stamp
		}
	}
	return stamp
}
