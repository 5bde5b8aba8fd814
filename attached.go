package sse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// attached is the way of a stream to its client through the ResponseWriter of
// its handler, which must not return as long as the stream lives.
type attached struct {
	source  *EventSource
	w       http.ResponseWriter
	control *http.ResponseController
	r       *http.Request
	ctx     context.Context // the request's: once it is done, w must not be touched

	turn turn          // to write to w
	wake chan struct{} // hands the turn to the goroutine parked in Wait, or in Detach

	// Guarded by source.mu.
	parked    bool      // a goroutine is in Wait
	detaching bool      // a goroutine is in Detach, and wants the turn
	pinged    bool      // a comment is due
	writing   time.Time // when the write in progress began, else zero
	wrote     time.Time // the end of the last write
	silence   *time.Timer
	stopWatch func() bool // of the context
}

// attach makes w the source's way to its client.
func attach(s *EventSource, w http.ResponseWriter, r *http.Request) *attached {
	s.attached = &attached{
		source:  s,
		w:       w,
		control: http.NewResponseController(w),
		r:       r,
		ctx:     r.Context(),
		wake:    make(chan struct{}, 1),
		wrote:   s.opened,
	}
	streams.attached.Add(1)
	return s.attached
}

// nudge sees to it that what is pending gets written. It waits for nobody.
func (a *attached) nudge() {
	if a.turn.claim() {
		a.start()
	}
}

// write is nudge for callers that may wait for the client: they write
// themselves.
func (a *attached) write() {
	if a.turn.claim() && !a.writePending() {
		a.hand() // what came meanwhile is for others to write
	}
}

// start gives the caller's turn to the handler that is parked in Wait, or to a
// goroutine that ends when nothing is pending; Close and Wait wait for it.
func (a *attached) start() {
	a.source.mu.Lock()
	parked := a.parked
	a.source.mu.Unlock()
	if parked {
		a.wake <- struct{}{} // has room: there is one turn
	} else {
		go a.run()
	}
}

// hand gives the turn back, or to another goroutine if there is more to write.
func (a *attached) hand() {
	if !a.turn.yield() {
		a.start()
	}
}

// run writes until nothing is pending, or until Detach wants to.
func (a *attached) run() {
	for {
		a.source.mu.Lock()
		detaching := a.detaching
		a.source.mu.Unlock()
		if detaching {
			a.wake <- struct{}{}
			return
		}
		if ended := a.writePending(); ended || a.turn.yield() {
			return
		}
	}
}

// writePending writes all that is pending at this moment, in one flush, and
// reports whether the stream has ended with it. The caller has the turn; after
// the end nobody gets it any more.
func (a *attached) writePending() (ended bool) {
	s := a.source
	b := batches.Get().(*batch)
	defer b.release()
	s.mu.Lock()
	ended = s.reason != nil // then this is the rest
	b.items = s.take(b.items, math.MaxInt64)
	if a.pinged && len(b.items) == 0 {
		b.items = append(b.items, item{chunk: comment})
	}
	a.pinged = false
	s.mu.Unlock()
	if len(b.items) > 0 {
		if err := a.flush(b); err != nil {
			s.shut(err)
			ended = true
		}
	}
	if ended {
		a.finish()
	}
	return ended
}

// flush writes the batch to the client. The deadline is there for the time of
// the write alone: none at all would let a stalled client hold the goroutine
// for ever, and one that is left behind resets an idle HTTP/2 stream.
func (a *attached) flush(b *batch) error {
	if a.ctx.Err() != nil {
		return a.contextError()
	}
	s := a.source
	s.mu.Lock()
	a.writing = time.Now()
	s.moved.Store(a.writing.UnixNano())
	deadline := s.deadline(a.writing)
	a.control.SetWriteDeadline(deadline) // a writer without deadlines is used as it is
	s.mu.Unlock()

	err := b.writeTo(a)

	s.mu.Lock()
	defer s.mu.Unlock()
	a.writing = time.Time{}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) || expired(deadline) {
			return ErrSlow
		}
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	a.control.SetWriteDeadline(time.Time{})
	now := time.Now()
	a.wrote = now
	if b.items[0].stamp > 0 {
		s.updated = now
	}
	return nil
}

// hurry sets a new deadline for the write in progress, if there is one. The
// caller holds source.mu.
func (a *attached) hurry() {
	if !a.writing.IsZero() {
		a.control.SetWriteDeadline(a.source.deadline(a.writing))
	}
}

// abort fails the write in progress, if there is one. The caller holds source.mu.
func (a *attached) abort() {
	if !a.writing.IsZero() {
		a.control.SetWriteDeadline(time.Unix(1, 0))
	}
}

// watch has the stream end with the request's context, and be sent comments
// while it is silent.
func (a *attached) watch() {
	s := a.source
	s.mu.Lock()
	defer s.mu.Unlock()
	a.stopWatch = context.AfterFunc(a.ctx, func() { s.end(a.contextError()) })
	if s.keepAlive > 0 {
		a.silence = time.AfterFunc(s.keepAlive, a.ping)
	}
}

// unwatch ends what watch has begun. It reports whether the context has not
// ended the stream, and will not. The caller holds source.mu.
func (a *attached) unwatch() bool {
	if a.silence != nil {
		a.silence.Stop()
	}
	return a.stopWatch == nil || a.stopWatch()
}

// ping has a comment sent if the stream was silent for its keep-alive interval.
func (a *attached) ping() {
	if a.restartSilence() {
		a.nudge()
	}
}

// restartSilence reports whether a comment is due, and sets the timer for the
// next time it may be.
func (a *attached) restartSilence() (due bool) {
	s := a.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != nil || s.attached != a {
		return false
	}
	rest := s.keepAlive - time.Since(a.wrote)
	if rest <= 0 {
		a.pinged, rest = true, s.keepAlive
	}
	a.silence.Reset(rest)
	return a.pinged
}

// contextError returns why the request's context is done.
func (a *attached) contextError() error {
	if cause := context.Cause(a.ctx); cause != context.Canceled {
		return cause
	}
	a.source.mu.Lock()
	defer a.source.mu.Unlock()
	if !a.writing.IsZero() && expired(a.source.deadline(a.writing)) {
		return ErrSlow // HTTP/2 resets the stream, and tells the context first
	}
	return ErrGone
}

// finish ends the stream. The caller has the turn, and keeps it.
func (a *attached) finish() {
	s := a.source
	s.mu.Lock()
	a.unwatch()
	if a.r.ProtoMajor == 1 && a.ctx.Err() == nil {
		// For the last chunk, which net/http writes once the handler returns; then
		// it clears the deadline.
		a.control.SetWriteDeadline(s.deadline(time.Now().Add(handlerTimeout)))
	}
	s.mu.Unlock()
	streams.attached.Add(-1)
	s.finish()
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

func (b *batch) writeTo(a *attached) error {
	for _, it := range b.items {
		block := it.chunk.block()
		if len(b.buf)+len(block) > batchPiece && len(b.buf) > 0 {
			if err := a.writePiece(b.buf); err != nil {
				return err
			}
			b.buf = b.buf[:0]
		}
		if len(block) <= batchPiece && len(b.items) > 1 {
			b.buf = append(b.buf, block...)
			continue
		}
		for piece := range slices.Chunk(block, batchPiece) {
			if err := a.writePiece(piece); err != nil {
				return err
			}
		}
	}
	if len(b.buf) > 0 {
		if err := a.writePiece(b.buf); err != nil {
			return err
		}
	}
	return a.control.Flush()
}

func (a *attached) writePiece(piece []byte) error {
	_, err := a.w.Write(piece)
	a.source.moved.Store(time.Now().UnixNano())
	return err
}

func (b *batch) release() {
	clear(b.items)
	b.items, b.buf = b.items[:0], b.buf[:0]
	if cap(b.items) <= 1024 {
		batches.Put(b)
	}
}
