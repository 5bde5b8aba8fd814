package sse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"sync/atomic"
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

	turn      turn          // to write to w
	wake      chan struct{} // hands the turn to the goroutine in Wait or Detach; closed at the end
	parked    atomic.Bool   // a goroutine is in Wait or Detach
	detaching atomic.Bool   // a goroutine is in Detach, and keeps the turn when it gets it

	// Guarded by source.mu.
	pinged    bool      // a comment is due
	armed     bool      // the write in progress has a deadline
	slow      bool      // the last write took too long
	writing   time.Time // when the write in progress began, else zero
	wrote     time.Time // the end of the last write
	watchdog  *time.Timer
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
	if a.parked.Load() {
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
	for !a.detaching.Load() {
		if ended := a.writePending(); ended || a.turn.yield() {
			return
		}
	}
	a.wake <- struct{}{}
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
	if len(b.items) == 0 {
		s.mu.Unlock()
	} else if err := a.flush(b); err != nil {
		s.shut(err)
		ended = true
	}
	if ended {
		a.finish()
	}
	return ended
}

// flush writes the batch to the client. It takes no longer than the write
// timeout: the watchdog sees to that, or a deadline that is there for the time of
// the write, since one that is left behind resets an idle HTTP/2 stream. The
// caller has the turn, and holds source.mu, which is unlocked.
func (a *attached) flush(b *batch) error {
	s := a.source
	if a.ctx.Err() != nil {
		s.mu.Unlock()
		return a.contextError()
	}
	a.writing = time.Now()
	s.moved.Store(a.writing.UnixNano())
	if a.watchdog == nil || s.drainBy != 0 {
		a.hurry()
	}
	s.mu.Unlock()

	err := b.writeTo(a)

	s.mu.Lock()
	defer s.mu.Unlock()
	late := expired(s.deadline(a.writing))
	a.writing = time.Time{}
	if err != nil {
		if a.slow = late || errors.Is(err, os.ErrDeadlineExceeded); a.slow {
			return ErrSlow
		}
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if a.armed {
		a.armed = false
		a.control.SetWriteDeadline(time.Time{})
	}
	a.wrote = time.Now()
	if b.items[0].stamp > 0 {
		s.updated = a.wrote.Sub(s.opened)
	}
	return nil
}

// hurry sets a deadline for the write in progress, if there is one. The caller
// holds source.mu.
func (a *attached) hurry() {
	if !a.writing.IsZero() {
		a.arm(a.source.deadline(a.writing))
	}
}

// abort fails the write in progress, if there is one. The caller holds source.mu.
func (a *attached) abort() {
	if !a.writing.IsZero() {
		a.arm(time.Unix(1, 0))
	}
}

// arm sets the deadline of the write in progress. A writer without deadlines is
// used as it is.
func (a *attached) arm(deadline time.Time) {
	if !deadline.IsZero() {
		a.armed = true
		a.control.SetWriteDeadline(deadline)
	}
}

// watch has the stream end with the request's context, has a write that takes
// too long fail, and a comment sent when the stream is silent.
func (a *attached) watch() {
	s := a.source
	s.mu.Lock()
	defer s.mu.Unlock()
	a.stopWatch = context.AfterFunc(a.ctx, func() { s.end(a.contextError()) })
	if next := a.check(time.Now()); next > 0 {
		a.watchdog = time.AfterFunc(next, a.tick)
	}
}

// unwatch ends what watch has begun. It reports whether the context has not
// ended the stream, and will not. The caller holds source.mu.
func (a *attached) unwatch() bool {
	if a.watchdog != nil {
		a.watchdog.Stop()
		a.watchdog = nil
	}
	return a.stopWatch == nil || a.stopWatch()
}

// tick is called by the watchdog. That costs less than a deadline for each
// write, of which there may be thousands in the same time.
func (a *attached) tick() {
	a.source.mu.Lock()
	if a.watchdog != nil {
		if next := a.check(time.Now()); next > 0 {
			a.watchdog.Reset(next)
		}
	}
	pinged := a.pinged
	a.source.mu.Unlock()
	if pinged {
		a.nudge()
	}
}

// check sees to what is due, and returns in what time to come again, 0 for
// never. A write that begins meanwhile is seen before its time is over. The
// caller holds source.mu.
func (a *attached) check(now time.Time) (next time.Duration) {
	s := a.source
	if s.writeTimeout > 0 {
		next = s.writeTimeout
		if !a.writing.IsZero() {
			if next = a.writing.Add(s.writeTimeout).Sub(now); next <= 0 {
				a.abort()
				next = s.writeTimeout
			}
		}
	}
	if s.keepAlive > 0 && s.reason == nil {
		rest := a.wrote.Add(s.keepAlive).Sub(now)
		if rest <= 0 {
			a.pinged, rest = true, s.keepAlive
		}
		if next == 0 || rest < next {
			next = rest
		}
	}
	return next
}

// contextError returns why the request's context is done.
func (a *attached) contextError() error {
	if cause := context.Cause(a.ctx); cause != context.Canceled {
		return cause
	}
	a.source.mu.Lock()
	defer a.source.mu.Unlock()
	if a.slow || !a.writing.IsZero() && expired(a.source.deadline(a.writing)) {
		return ErrSlow // HTTP/2 resets the stream, and tells the context first
	}
	return ErrGone
}

// finish ends the stream. The caller has the turn, and keeps it: nobody sends to
// wake any more.
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
	close(a.wake)
}
