package sse

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// nudge sees to it that what is pending gets written. It waits for nobody.
func (s *EventSource) nudge() {
	if s.turn.claim() {
		s.start()
	}
}

// start gives the caller's turn to the handler that is parked in Wait, or to a
// goroutine that ends when nothing is pending; Close and Wait wait for it.
func (s *EventSource) start() {
	s.mu.Lock()
	parked := s.parked
	s.mu.Unlock()
	if parked {
		s.wake <- struct{}{} // has room: there is one turn
	} else {
		go s.run()
	}
}

// hand gives the turn back, or to another goroutine if there is more to write.
func (s *EventSource) hand() {
	if !s.turn.yield() {
		s.start()
	}
}

// run writes until nothing is pending.
func (s *EventSource) run() {
	for {
		if ended := s.writePending(); ended || s.turn.yield() {
			return
		}
	}
}

// writePending writes all that is pending at this moment, in one flush, and
// reports whether the stream has ended with it. The caller has the turn; after
// the end nobody gets it any more.
func (s *EventSource) writePending() (ended bool) {
	b := batches.Get().(*batch)
	defer b.release()
	s.mu.Lock()
	ended = s.reason != nil // then this is the rest
	b.items = s.take(b.items)
	s.mu.Unlock()
	if len(b.items) > 0 {
		if err := s.flush(b); err != nil {
			s.shut(err)
			ended = true
		}
	}
	if ended {
		s.finish()
	}
	return ended
}

// take appends all that is pending to items, in order. The caller holds s.mu.
func (s *EventSource) take(items []item) []item {
	inputs := 0
	// Whatever one goroutine has sent before the last stamp is in our inputs by
	// now. Newer events may be in one, and older ones of the same goroutine not
	// yet seen in another: they are for the next time.
	horizon := stamps.Load()
	for _, m := range s.members {
		if n := len(items); !m.held {
			if items = m.take(items, horizon); len(items) > n {
				inputs++
			}
		}
	}
	if len(s.queue) > 0 {
		items = append(items, s.queue...)
		clear(s.queue)
		s.queue, s.queued = s.queue[:0], 0
		if cap(s.queue) > 64 {
			s.queue = nil
		}
		inputs++
	}
	if inputs > 1 {
		slices.SortFunc(items, byStamp)
	}
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	if s.pinged && len(items) == 0 {
		items = append(items, item{block: comment})
	}
	s.pinged = false
	return items
}

func byStamp(a, b item) int { return cmp.Compare(a.stamp, b.stamp) }

var comment = []byte(":\n")

// flush writes the batch to the client. The deadline is there for the time of
// the write alone: none at all would let a stalled client hold the goroutine
// for ever, and one that is left behind resets an idle HTTP/2 stream.
func (s *EventSource) flush(b *batch) error {
	if s.ctx.Err() != nil {
		return s.contextError()
	}
	s.mu.Lock()
	s.writing = time.Now()
	s.moved.Store(s.writing.UnixNano())
	deadline := s.deadline(s.writing)
	s.control.SetWriteDeadline(deadline) // a writer without deadlines is used as it is
	s.mu.Unlock()

	err := b.writeTo(s)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = time.Time{}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || expired(deadline) {
			return ErrSlow
		}
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	s.control.SetWriteDeadline(time.Time{})
	now := time.Now()
	s.wrote = now
	if b.items[0].stamp > 0 {
		s.updated = now
	}
	return nil
}

// deadline returns when a write that begins now must have ended. The caller
// holds s.mu.
func (s *EventSource) deadline(now time.Time) time.Time {
	var d time.Time
	if s.writeTimeout > 0 {
		d = now.Add(s.writeTimeout)
	}
	if !s.drainBy.IsZero() && (d.IsZero() || s.drainBy.Before(d)) {
		d = s.drainBy
	}
	return d
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// ping has a comment sent if the stream was silent for its keep-alive interval.
func (s *EventSource) ping() {
	if s.restartSilence() {
		s.nudge()
	}
}

// restartSilence reports whether a comment is due, and sets the timer for the
// next time it may be.
func (s *EventSource) restartSilence() (due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != nil {
		return false
	}
	rest := s.keepAlive - time.Since(s.wrote)
	if rest <= 0 {
		s.pinged, rest = true, s.keepAlive
	}
	s.silence.Reset(rest)
	return s.pinged
}

// A batch is what one flush writes.
type batch struct {
	items []item
	buf   []byte
}

// batchPiece is how much is written at a time. Small events are put together,
// which costs a copy and not a write each; large ones are not copied, but cut,
// so that it shows whether the client gets on.
const batchPiece = 32 << 10

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) writeTo(s *EventSource) error {
	for _, it := range b.items {
		block := it.block
		if len(b.buf)+len(block) > batchPiece && len(b.buf) > 0 {
			if err := s.writePiece(b.buf); err != nil {
				return err
			}
			b.buf = b.buf[:0]
		}
		if len(block) <= batchPiece && len(b.items) > 1 {
			b.buf = append(b.buf, block...)
			continue
		}
		for piece := range slices.Chunk(block, batchPiece) {
			if err := s.writePiece(piece); err != nil {
				return err
			}
		}
	}
	if len(b.buf) > 0 {
		if err := s.writePiece(b.buf); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

func (s *EventSource) writePiece(piece []byte) error {
	_, err := s.w.Write(piece)
	s.moved.Store(time.Now().UnixNano())
	return err
}

func (b *batch) release() {
	clear(b.items)
	b.items, b.buf = b.items[:0], b.buf[:0]
	if cap(b.items) <= 1024 {
		batches.Put(b)
	}
}
