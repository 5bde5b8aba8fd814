package stream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/internal/coding"
	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/listen"
	"example.org/sse/internal/wire"
)

// Why a stream ends. Package sse documents them.
var (
	ErrClosed   = errors.New("sse: closed")
	ErrGone     = errors.New("sse: client gone")
	ErrSlow     = errors.New("sse: client too slow")
	ErrShutdown = errors.New("sse: server shutting down")
	ErrExpired  = errors.New("sse: stream expired")
	ErrMaxAge   = errors.New("sse: stream has reached its maximum age")
	ErrLimited  = errors.New("sse: too many streams")
)

// Options are those of a stream. Zero is no keep-alive, no timeout, no backlog and
// no reconnection time.
type Options struct {
	KeepAlive    time.Duration
	WriteTimeout time.Duration
	Backlog      int64
	Retry        time.Duration
	Coding       coding.Coding

	// Refusal, if not nil, ends the stream as soon as it has begun, for that reason, and
	// Last is what the client is sent then.
	Refusal error
	Last    wire.Chunk
}

// A Stream is one event stream. Open begins it. Its methods may be called by any
// goroutine.
//
// All that is touched when an event is written is in one object, and the fields
// that are used together stand together: a walk over many streams costs as much
// time as it touches memory.
type Stream struct {
	Owner any // of the stream; immutable

	mu      sync.Mutex    // guards all fields except where noted
	reason  error         // why it is ending; no event is taken once it is set
	opened  time.Time     // immutable
	updated time.Duration // the end of the last write of an event, after opened

	members []*Member // of groups
	one     [1]*Member
	queue   []eventlog.Item // dispatched to this stream alone, by stamp
	holds   *Hold           // nothing passes the oldest

	first Member   // the first membership
	own   detached // the way to the client, once the stream is detached

	attached *attached     // the way to the client until then, and nil afterwards
	decoder  *coding.State // of the client, for whoever may write to it; nil without compression
	queued   int64         // bytes in queue that count against the backlog
	room     chan struct{} // closed when the queue has been taken, or at the end; nil if nobody waits
	drainBy  time.Duration // the end of a shutdown's patience, after opened; 0 before
	done     chan struct{} // closed when it has ended; nil until Done is called
	after    *afterFunc    // called then
	moved    atomic.Int64  // when the client last took a piece while more waited, after opened
	doubted  time.Duration // when it was first seen to take nothing, after opened

	keepAlive    time.Duration
	writeTimeout time.Duration
	retry        time.Duration
	backlog      int64
	drain        *Drain // nil without a server
	drainAt      int32  // in drain.streams, guarded by drain.mu
	ended        bool   // nothing is written any more
	joined       bool   // first is in use, or was
}

// Open begins the stream as the response to a request: it sends the response's head,
// whose headers w has, and a comment. Conn is the request's connection, nil if no
// [listen.Listener] has accepted it; the drain may be nil. If the stream cannot begin,
// or ends at once, Open returns why, and nothing touches w afterwards.
func (s *Stream) Open(w http.ResponseWriter, r *http.Request, o Options, conn *listen.Conn, drain *Drain) error {
	s.opened = time.Now()
	s.keepAlive, s.writeTimeout, s.backlog, s.retry = o.KeepAlive, o.WriteTimeout, o.Backlog, o.Retry
	if !o.Coding.IsNone() {
		s.decoder = coding.NewState(o.Coding)
	}
	a := attach(s, w, r, conn)
	w.WriteHeader(http.StatusOK)
	a.turn.claim()
	// The drain comes first: from here on a shutdown bounds whatever may block.
	draining := drain != nil && !drain.add(s)
	head := []eventlog.Item{{Chunk: wire.Comment}}
	if s.retry > 0 {
		head = append(head, eventlog.Item{Chunk: wire.Retry(s.retry)})
	}
	a.watch()
	s.mu.Lock()
	if err := a.flush(&batch{items: head}); err != nil {
		s.setReason(err)
		a.finish()
		return s.Err()
	}
	if draining {
		s.End(ErrShutdown)
	} else if o.Refusal != nil {
		s.End(o.Refusal, o.Last)
	}
	a.hand()
	if s.Closed() {
		return s.Wait()
	}
	return nil
}

// Began reports whether Open has been called.
func (s *Stream) Began() bool { return !s.opened.IsZero() }

// Retry returns the reconnection time that the program chose, 0 for none.
func (s *Stream) Retry() time.Duration { return s.retry }

// OpenedAt returns when the stream began.
func (s *Stream) OpenedAt() time.Time { return s.opened }

// UpdatedAt returns when an event was last written, or else when the stream began.
func (s *Stream) UpdatedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened.Add(s.updated)
}

// Closed reports whether the stream is ending or has ended.
func (s *Stream) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason != nil
}

// Send sends an event to this client alone. It may write to the client itself, or
// wait for room in the backlog, for the write timeout at most; then the stream
// ends.
func (s *Stream) Send(c wire.Chunk) error {
	if err := s.pushWhenRoom(c); err != nil {
		return err
	}
	s.write()
	if err := s.Err(); !graceful(err) {
		return err
	}
	return nil
}

// Offer is Send for callers that wait for nobody: a stream whose backlog is full
// ends. It reports whether the event was taken.
func (s *Stream) Offer(c wire.Chunk) bool {
	s.mu.Lock()
	if s.reason != nil {
		s.mu.Unlock()
		return false
	}
	if s.fullLocked(int64(len(c))) {
		s.mu.Unlock()
		s.End(ErrSlow)
		return false
	}
	s.pushLocked(c)
	s.mu.Unlock()
	s.nudge()
	return true
}

// write gets what is pending written, if need be by the caller, who may wait for
// the client.
func (s *Stream) write() {
	if a, d := s.way(); d != nil {
		d.nudge()
	} else {
		a.write()
	}
}

// nudge is like write but never blocks.
func (s *Stream) nudge() {
	if a, d := s.way(); d != nil {
		d.nudge()
	} else {
		a.nudge()
	}
}

// way returns the stream's way to its client. If that is changed meanwhile, what
// was pending before is written by the goroutine that changes it.
func (s *Stream) way() (*attached, *detached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attached, s.detachedLocked()
}

// detachedLocked returns the stream's way to its client if that is detached.
func (s *Stream) detachedLocked() *detached {
	if s.attached != nil {
		return nil
	}
	return &s.own
}

// A progress says what a stream waits for.
type progress int

const (
	stalled progress = iota // for the client, which has taken nothing lately, or its state
	reading                 // for the client, which has taken something not long ago
	ready                   // for a processor, to write
)

const (
	// readingFor is how long a client may take nothing before it is doubted, and then
	// again before it counts as stalled. The scheduler is fair in the long run only: on
	// a busy machine a goroutine may be ready for a second before it runs, and a client
	// with small buffers takes many turns for the next piece. And after a process has been
	// stopped, every client seems to have taken nothing: the doubt gives each the time to
	// show otherwise.
	readingFor = 2 * time.Second

	// readingBacklogs is how many backlogs may wait for a client that reads.
	readingBacklogs = 8
)

// progressLocked reports how the writing gets on.
func (s *Stream) progressLocked() progress {
	moved := time.Duration(s.moved.Load())
	switch {
	case s.attached == nil && len(s.own.flight) > 0:
	case s.attached != nil && !s.attached.writing.IsZero():
		moved = max(moved, s.attached.writing.Sub(s.opened))
	default:
		return ready
	}
	now := time.Since(s.opened)
	switch {
	case now-moved < readingFor:
		return reading
	case s.doubted <= moved:
		s.doubted = now
	}
	if now-s.doubted < readingFor {
		return reading
	}
	return stalled
}

// limitLocked returns how many bytes may wait for the client.
func (s *Stream) limitLocked() int64 {
	if s.progressLocked() == stalled {
		return s.backlog
	}
	return readingBacklogs * s.backlog
}

// fullLocked reports whether so many bytes more are too many. While a snapshot is
// made nothing is: the client could not take it.
func (s *Stream) fullLocked(more int64) bool {
	return s.holds == nil && len(s.queue) > 0 && s.waitingLocked()+more > s.limitLocked()
}

// An afterFunc is what is to be called once a stream has ended.
type afterFunc struct {
	f      func()
	inline bool // f does not block, and is called by the goroutine that ends the stream
	next   *afterFunc
}

// Context returns a context that is done once the stream has ended, with its reason as
// the cause. The request's context is over as soon as the handler has returned, so that
// only its values are used.
func (s *Stream) Context() context.Context {
	parent := context.Background()
	if a, _ := s.way(); a != nil {
		parent = context.WithoutCancel(a.ctx)
	}
	ctx, cancel := context.WithCancelCause(parent)
	s.AfterFunc(func() { cancel(s.Err()) })
	return ctx
}

// AfterFunc arranges to call f in its own goroutine once the stream has ended. It
// has the form of [context.AfterFunc].
func (s *Stream) AfterFunc(f func()) (stop func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		go f()
		return func() bool { return false }
	}
	a := &afterFunc{f: f, next: s.after}
	s.after = a
	return func() bool { return s.cancel(a) }
}

// OnEnd calls f once the stream has ended. f must not block, and not call the stream.
func (s *Stream) OnEnd(f func()) {
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.after = &afterFunc{f: f, inline: true, next: s.after}
	}
	s.mu.Unlock()
	if ended {
		f()
	}
}

func (s *Stream) cancel(a *afterFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := &s.after; *at != nil; at = &(*at).next {
		if *at == a {
			*at = a.next
			return true
		}
	}
	return false
}

// call calls the functions in the order in which they were arranged, those that may
// block in goroutines of their own.
func (a *afterFunc) call() {
	if a == nil {
		return
	}
	a.next.call()
	if a.inline {
		a.f()
	} else {
		go a.f()
	}
}

// Done returns a channel that is closed when the stream has ended.
func (s *Stream) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return closed
	}
	if s.done == nil {
		s.done = make(chan struct{})
	}
	return s.done
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Err returns nil until Done is closed, and then why the stream ended.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.reason
	}
	return nil
}

// expired reports whether a deadline, if there is one, has passed.
func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// cause returns why a context is done, nil if only because its request is over.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
