package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/listen"
	"example.org/sse/internal/wire"
)

// attached is the way of a stream to its client through the ResponseWriter of
// its handler, which must not return as long as the stream lives.
type attached struct {
	stream  *Stream
	w       http.ResponseWriter
	control *http.ResponseController
	r       *http.Request
	ctx     context.Context // the request's: once it is done, w must not be touched
	conn    *listen.Conn    // nil if no Listener has accepted it
	before  int64           // what was written to conn before the response
	unread  bool            // the request's body may not have been read

	turn      turn          // to write to w
	wake      chan struct{} // hands the turn to the goroutine in Wait or Serve; closed at the end
	parked    atomic.Bool   // a goroutine is in Wait or Serve
	detaching atomic.Bool   // a goroutine is in Serve, and keeps the turn when it gets it

	// Guarded by stream.mu.
	pinged    bool      // a comment is due
	armed     bool      // the write in progress has a deadline
	slow      bool      // the last write took too long
	writing   time.Time // when the write in progress began, else zero
	wrote     time.Time // the end of the last write
	watchdog  *time.Timer
	stopWatch func() bool // of the context
}

// attach makes w the stream's way to its client.
func attach(s *Stream, w http.ResponseWriter, r *http.Request, conn *listen.Conn) *attached {
	s.attached = &attached{
		stream:  s,
		w:       w,
		control: http.NewResponseController(w),
		r:       r,
		ctx:     lasting(r.Context()),
		wake:    make(chan struct{}, 1),
		wrote:   s.opened,
		conn:    conn,
	}
	if conn != nil {
		s.attached.before = conn.Written()
		conn.SetUserTimeout(s.writeTimeout)
	}
	countOpened()
	if s.attached.unread = r.ProtoMajor == 1 && bodyUnread(r); s.attached.unread {
		// Else net/http waits for the body before it writes the head, and a client
		// that sends none holds up a shutdown. Afterwards the connection cannot carry
		// another request.
		_ = s.attached.control.EnableFullDuplex()
		w.Header().Set("Connection", "close")
	}
	// Neither the server's WriteTimeout nor a deadline that middleware has set for the
	// request is for streams.
	_ = s.attached.control.SetWriteDeadline(time.Time{})
	_ = s.attached.control.SetReadDeadline(time.Time{})
	return s.attached
}

// lasting returns a context that can be used after the response, which may go on in
// another goroutine than the stream's. Other servers than net/http's may use theirs again,
// with other values, as fasthttp does; package context looks for values when it stops
// to watch a context, and for a cause.
func lasting(ctx context.Context) context.Context {
	if ctx.Value(http.LocalAddrContextKey) != nil { // net/http's, and that of HTTP/3
		return ctx
	}
	return valueless{ctx}
}

type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }

// nudge gets what is pending written. It never blocks.
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

// run writes until nothing is pending, or until Serve wants the turn.
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
	s := a.stream
	b := batches.Get().(*batch)
	defer b.release()
	s.mu.Lock()
	ended = s.reason != nil // then this is the rest
	b.items = s.takeLocked(b.items, math.MaxInt64)
	if a.pinged && len(b.items) == 0 {
		b.items = append(b.items, eventlog.Item{Chunk: wire.Comment})
	}
	a.pinged = false
	if len(b.items) == 0 {
		s.mu.Unlock()
	} else if err := a.flush(b); err != nil {
		s.setReason(err)
		ended = true
	}
	if ended {
		a.finish()
	}
	return ended
}

// flush writes the batch to the client. The client must take a piece of it within
// the write timeout: the watchdog checks that, or a deadline that is armed during
// the write, since one that is left behind resets an idle HTTP/2 stream. The caller
// has the turn, and holds stream.mu, which flush unlocks.
func (a *attached) flush(b *batch) error {
	s := a.stream
	if a.ctx.Err() != nil {
		s.unsent(b.items)
		s.mu.Unlock()
		return a.contextError()
	}
	a.writing = time.Now()
	if a.watchdog == nil || s.drainBy != 0 {
		a.hurryLocked()
	}
	s.mu.Unlock()

	b.items = s.code(b.items)
	err := b.writeTo(a)
	if a.ctx.Err() != nil && a.r.ProtoMajor == 1 {
		a.spoil()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	late := expired(a.deadlineLocked())
	a.writing = time.Time{}
	if err != nil {
		s.unsent(b.items)
		if a.slow = late || errors.Is(err, os.ErrDeadlineExceeded); a.slow {
			return ErrSlow
		}
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if a.armed {
		a.armed = false
		a.control.SetWriteDeadline(time.Time{})
	}
	events, bytes := volume(b.items)
	s.counters().Delivered.Add(events, bytes)
	a.wrote = time.Now()
	if events > 0 {
		s.updated = a.wrote.Sub(s.opened)
	}
	return nil
}

// spoil makes the connection useless, since the request's context was done while it
// was written to. Either the client is gone, or the handler has returned without
// Close or Wait: then the response is torn, and another one must not follow it.
func (a *attached) spoil() {
	if a.conn != nil {
		_ = a.conn.Close()
		return
	}
	expire := func() {
		_ = a.control.SetReadDeadline(time.Unix(1, 0))
		_ = a.control.SetWriteDeadline(time.Unix(1, 0))
	}
	expire()
	time.AfterFunc(time.Second, expire) // net/http resets them once, between requests
}

// deadlineLocked returns when the client must have taken the next piece of the
// write in progress, and the zero time if there is none.
func (a *attached) deadlineLocked() time.Time {
	if a.writing.IsZero() {
		return time.Time{}
	}
	last := max(a.writing.Sub(a.stream.opened), time.Duration(a.stream.moved.Load()))
	return a.stream.deadlineLocked(a.stream.opened.Add(last))
}

// hurryLocked sets a deadline for the write in progress, if there is one.
func (a *attached) hurryLocked() { a.armLocked(a.deadlineLocked()) }

// abortLocked fails the write in progress, if there is one.
func (a *attached) abortLocked() {
	if !a.writing.IsZero() {
		a.armLocked(time.Unix(1, 0))
	}
}

// armLocked sets the deadline of the write in progress. A writer without deadlines
// is used as it is.
func (a *attached) armLocked(deadline time.Time) {
	if !deadline.IsZero() {
		a.armed = true
		a.control.SetWriteDeadline(deadline)
	}
}

// watch ends the stream with the request's context, fails a write that takes too
// long, and sends a comment when the stream is silent.
func (a *attached) watch() {
	s := a.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	a.stopWatch = context.AfterFunc(a.ctx, func() { s.End(a.contextError()) })
	if next := a.checkLocked(time.Now()); next > 0 {
		a.watchdog = time.AfterFunc(next, a.tick)
	}
}

// unwatchLocked ends what watch has begun. It reports whether the context has not
// ended the stream, and will not.
func (a *attached) unwatchLocked() bool {
	if a.watchdog != nil {
		a.watchdog.Stop()
		a.watchdog = nil
	}
	return a.stopWatch == nil || a.stopWatch()
}

// tick is called by the watchdog. That costs less than a deadline for each
// write, of which there may be thousands in the same time.
func (a *attached) tick() {
	a.stream.mu.Lock()
	if a.watchdog != nil {
		if next := a.checkLocked(time.Now()); next > 0 {
			a.watchdog.Reset(next)
		}
	}
	pinged := a.pinged
	a.stream.mu.Unlock()
	if pinged {
		a.nudge()
	}
}

// checkLocked does what is due, and returns in what time to come again, 0 for
// never. A write that begins meanwhile is seen before its time is over.
func (a *attached) checkLocked(now time.Time) (next time.Duration) {
	s := a.stream
	if s.writeTimeout > 0 {
		next = s.writeTimeout
		if deadline := a.deadlineLocked(); !deadline.IsZero() {
			if next = deadline.Sub(now); next <= 0 {
				a.abortLocked()
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
	if err := cause(a.ctx); err != nil {
		return err
	}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	if a.slow || expired(a.deadlineLocked()) {
		return ErrSlow // HTTP/2 resets the stream, and ends the context first
	}
	return ErrGone
}

// finish ends the stream. The caller has the turn, and keeps it: nobody sends to
// wake any more.
func (a *attached) finish() {
	s := a.stream
	s.mu.Lock()
	a.unwatchLocked()
	if a.r.ProtoMajor == 1 && a.ctx.Err() == nil {
		// For the last chunk, which net/http writes once the handler returns; then
		// it clears the deadline.
		a.control.SetWriteDeadline(s.deadlineLocked(time.Now().Add(handlerTimeout)))
		if a.unread {
			a.control.SetReadDeadline(time.Now()) // else net/http waits for the body now
		}
	}
	reason := s.reason
	s.mu.Unlock()
	if a.conn != nil && a.r.ProtoMajor == 1 {
		a.conn.SetUserTimeout(0) // what comes next may be a download that is paused
	}
	countEnded(&counts.Attached, reason)
	s.signalEnd()
	close(a.wake)
}

// bodyUnread reports whether the request may have a body that was not read to its
// end. One of unknown length would have to be read to know.
func bodyUnread(r *http.Request) bool {
	if r.ContentLength <= 0 || r.Body == nil {
		return r.ContentLength < 0
	}
	_, err := r.Body.Read(nil)
	return err == nil
}
