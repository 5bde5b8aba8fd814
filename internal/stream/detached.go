package stream

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/poll"
)

const (
	// flightBytes is about how much is written to a socket at once, unless it is
	// one larger event, and so may be on its way to a slow client in addition to
	// what waits for it.
	flightBytes = 64 << 10

	// linger is how long a client has to close its end of a connection after
	// ours. To close it at once could cost the client what it has not read yet,
	// if it sends something; net/http waits as long.
	linger = 500 * time.Millisecond
)

// detached is the way of a stream to its client once its handler has returned:
// a goroutine that has something to write writes as much as the socket takes at
// once. A shard is notified when the socket takes more, and when the client leaves.
type detached struct {
	stream *Stream

	// Guarded by stream.mu.
	socket    poll.Socket
	flight    []eventlog.Item // the part of the last write that the socket has not taken
	wrote     time.Duration   // the last write, after stream.opened
	by        time.Duration   // when the client must have taken a piece, 0 if nothing waits; lingering, when to close
	owed      int32           // the rest of that piece
	open      bool            // the socket is not closed
	broken    bool            // the socket can no longer be used
	lingering bool            // all is written, and the client has to close its end

	shard *shard
	token uint64 // of the shard
}

// nudge writes what is pending.
func (d *detached) nudge() {
	w := writers.Get().(*writer)
	defer w.release()
	w.now = time.Now()
	d.stream.mu.Lock()
	err := d.writeLocked(w)
	d.settle(err, w.now)
}

// settle ends the stream if there is an error, or if all is written that has to
// be. The caller holds stream.mu, which settle unlocks.
func (d *detached) settle(err error, now time.Time) {
	s := d.stream
	if err != nil {
		d.broken = true
	}
	over := d.overLocked()
	if over {
		d.leaveLocked(now)
	}
	reason := s.reason
	s.mu.Unlock()
	if over {
		countEnded(&counts.Detached, reason)
		s.signalEnd()
		s.leaveDrain()
	} else if err != nil {
		s.End(err) // and comes here again
	}
}

// writeLocked writes what is pending, as much as the socket takes.
func (d *detached) writeLocked(w *writer) error {
	s := d.stream
	if d.broken || d.lingering || !d.open || s.reason != nil && !graceful(s.reason) {
		return nil
	}
	for {
		if len(d.flight) == 0 {
			if m := s.onlyLocked(); m != nil {
				if full, err := d.writeOnlyLocked(m, w); full || err != nil {
					return err
				}
				return nil
			}
			if d.flight = s.code(s.takeLocked(d.flight, flightBytes)); len(d.flight) == 0 {
				d.flight, d.by = nil, 0
				return nil
			}
		}
		joint := w.joinItems(d.flight)
		n, err := d.socket.Write(joint)
		if err != nil {
			return d.lostLocked(err)
		}
		d.sentLocked(n, w.now)
		d.advanceLocked(n, w)
		if n < len(joint) {
			d.stuckLocked(w.now)
			return nil
		}
	}
}

// writeOnlyLocked writes the events of the only member for which something can be
// pending. It reports whether the socket is full.
func (d *detached) writeOnlyLocked(m *Member, w *writer) (full bool, err error) {
	s := d.stream
	for {
		from := m.Next()
		if !from.Filled() {
			d.by = 0
			return false, nil
		}
		before := s.decoded()
		joint, to := w.take(s, from)
		n, err := d.socket.Write(joint)
		if err != nil {
			return false, d.lostLocked(err)
		}
		m.Advance(to)
		d.sentLocked(n, w.now)
		if n == len(joint) {
			s.updated = d.wrote
			w.taken(s, n)
			continue
		}
		for e := from; e != to; e = e.Next() {
			d.flight = append(d.flight, e.Item())
		}
		d.flight = s.codeAgain(before, d.flight)
		d.advanceLocked(n, w)
		d.stuckLocked(w.now)
		return true, nil
	}
}

// sentLocked notes that n bytes were written.
func (d *detached) sentLocked(n int, now time.Time) {
	if n == 0 {
		return
	}
	s := d.stream
	d.wrote = now.Sub(s.opened)
	if len(d.flight) > 0 {
		s.moved.Store(int64(d.wrote))
		if d.owed -= int32(min(n, batchPiece)); d.owed <= 0 && s.drainBy == 0 {
			d.by = 0 // the client has taken its piece; it has time for another one
		}
	}
}

// advanceLocked drops n bytes from the flight.
func (d *detached) advanceLocked(n int, w *writer) {
	i := 0
	for ; i < len(d.flight) && n >= len(d.flight[i].Chunk); i++ {
		n -= len(d.flight[i].Chunk)
	}
	events, bytes := volume(d.flight[:i])
	if i < len(d.flight) && d.flight[i].Stamp > 0 {
		bytes += int64(n)
	}
	if bytes > 0 {
		d.stream.updated = d.wrote
	}
	w.delivered(int(events), int(bytes))
	clear(d.flight[:i])
	if d.flight = d.flight[i:]; len(d.flight) == 0 {
		d.flight = nil
	} else {
		d.flight[0].Chunk = d.flight[0].Chunk[n:]
	}
}

// stuckLocked sets the time by which the client must have taken a piece, unless
// that is set already.
func (d *detached) stuckLocked(now time.Time) {
	s := d.stream
	if d.by != 0 {
		return
	}
	s.moved.Store(int64(now.Sub(s.opened))) // it keeps us waiting from now on
	d.owed = batchPiece
	d.by = never
	if deadline := s.deadlineLocked(now); !deadline.IsZero() {
		d.by = max(deadline.Sub(s.opened), 1)
		d.shard.wake(deadline, s.patienceLocked())
	}
}

// patienceLocked is how long a client may take for a piece.
func (s *Stream) patienceLocked() time.Duration {
	if s.drainBy == 0 {
		return s.writeTimeout
	}
	return DrainTimeout
}

// never is a time after everything.
const never = 1<<63 - 1

// hurryLocked brings the end of a shutdown's patience forward to what is written.
func (d *detached) hurryLocked() {
	s := d.stream
	if d.by > s.drainBy && !d.lingering {
		d.by = s.drainBy
		d.shard.wake(s.opened.Add(d.by), DrainTimeout)
	}
}

// lostLocked returns why the stream ends if the socket fails.
func (d *detached) lostLocked(err error) error {
	if errors.Is(err, syscall.ETIMEDOUT) && d.by != 0 {
		return ErrSlow // the kernel's clock was first
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// overLocked reports whether the stream has ended, all is written that has to be,
// and it is not yet known.
func (d *detached) overLocked() bool {
	s := d.stream
	switch {
	case s.reason == nil || d.lingering || !d.open:
		return false
	case d.broken || !graceful(s.reason):
		return true
	}
	return len(d.flight) == 0 && len(s.queue) == 0
}

// leaveLocked closes the connection, at once or, after a clean end, when the client
// has done so.
func (d *detached) leaveLocked(now time.Time) {
	s := d.stream
	s.unsent(d.flight)
	d.flight = nil
	if !d.broken && graceful(s.reason) && d.socket.CloseWrite() == nil {
		d.lingering = true
		d.by = now.Add(linger).Sub(s.opened)
		d.shard.wake(now.Add(linger), linger)
		return
	}
	d.closeLocked(s.reason == ErrSlow)
}

// closeLocked closes the socket.
func (d *detached) closeLocked(abort bool) {
	d.socket.Close(abort)
	d.open = false
	d.shard.remove(d)
}

// A writer is what one goroutine needs to write to several streams, one after the
// other. They mostly lack the same events, which are joined once.
type writer struct {
	now time.Time

	from, to *eventlog.Entry
	joint    []byte // the entries between them
	count    int    // of these entries
	buf      []byte // for joint
	items    []byte // for joinItems, and take
	took     tally  // what take has returned, with a coding

	counts        *eventlog.Counters // where forget counts
	events, bytes int64              // delivered since
	pieces        tally              // of these events
}

var writers = sync.Pool{New: func() any { return newWriter() }}

func newWriter() *writer { return &writer{counts: eventlog.SomeCounters()} }

// delivered counts events that were written.
func (w *writer) delivered(events, bytes int) {
	w.events += int64(events)
	w.bytes += int64(bytes)
}

func (w *writer) release() {
	w.forget()
	writers.Put(w)
}

// forget lets go of the events.
func (w *writer) forget() {
	w.from, w.to, w.joint = nil, nil, nil
	w.pieces.addTo(w.counts)
	w.counts.Delivered.Add(w.events, w.bytes)
	w.pieces, w.events, w.bytes = tally{}, 0, 0
}

// join returns what an entry and those after it hold, and the entry that comes
// next: flightBytes at most, or one larger event, which is not copied.
func (w *writer) join(from *eventlog.Entry) ([]byte, *eventlog.Entry) {
	if w.from == from && !w.fits() {
		return w.joint, w.to
	}
	w.from, w.to, w.joint, w.count = from, from.Next(), from.Chunk(), 1
	if !w.fits() {
		return w.joint, w.to
	}
	w.buf = append(w.buf[:0], w.joint...)
	for w.joint = w.buf; w.fits(); w.to = w.to.Next() {
		w.joint = append(w.joint, w.to.Chunk()...)
		w.count++
	}
	w.buf = w.joint
	return w.joint, w.to
}

// fits reports whether there is another event, and room for it.
func (w *writer) fits() bool {
	return w.to.Filled() && len(w.joint)+len(w.to.Chunk()) <= flightBytes
}

// joinItems returns what the items hold, at least one, and flightBytes at most or
// one larger item, which is not copied.
func (w *writer) joinItems(items []eventlog.Item) []byte {
	if len(items) == 1 || len(items[0].Chunk)+len(items[1].Chunk) > flightBytes {
		return items[0].Chunk
	}
	w.items = w.items[:0]
	for _, it := range items {
		if len(w.items)+len(it.Chunk) > flightBytes {
			break
		}
		w.items = append(w.items, it.Chunk...)
	}
	return w.items
}
