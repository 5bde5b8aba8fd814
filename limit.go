package sse

import (
	"container/list"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/internal/stream"
	"example.org/sse/internal/wire"
)

// A Limit bounds how many streams are open at the same time, for each key or in all.
// Use it in [AcceptOptions], several Limits for several bounds, and one Limit in the
// options of all handlers whose streams it counts together:
//
//	perUser := &sse.Limit{Max: 5, Key: func(r *http.Request) string { return userOf(r) }}
//	inAll := &sse.Limit{Max: 10_000}
//	o := &sse.AcceptOptions{Limits: []*sse.Limit{perUser, inAll}}
//
// The exported fields must not be changed after first use. Its methods may be called
// from any goroutine.
//
// A stream beyond the limit is refused: [Accept] fails with [ErrLimited], and [Serve]
// does not call its function. The client is answered with a stream that ends at once, and
// asked to reconnect, since any status but 200 would stop browsers for good. It is asked
// to wait for up to 1 s, then 2, 4 and 8 s as more are refused, each for a random time
// that is at least half of that, or for the Retry of [AcceptOptions] if that is longer. So
// a browser is connected within 10 s of a stream's end, without a reload.
//
// A stream counts from before its response begins until [EventSource.Done] is closed,
// whatever ended it, and costs some 150 bytes. A client whose network was cut counts until that is noticed; see
// the package comment.
//
// A Limit counts the streams of this process: a number shared by several processes
// would admit nobody while their broker is away, and would be wrong for as long as it
// takes to notice that a process has died. So a key may have Max streams in each.
type Limit struct {
	// Max is how many streams a key may have. 0 or less: any number, which are counted.
	Max int

	// Key returns what a request is counted under: its user, its address, its page. It
	// is called before the stream begins. A request with an empty key is not counted.
	// Nil: all requests are counted together.
	Key func(*http.Request) string

	// EndOldest admits a stream beyond the limit, and ends the oldest one of its key with
	// [ErrLimited], after what was dispatched to it before. A client that was ended like
	// this reconnects, and ends another one: set Event, and close the page's
	// EventSource at it.
	EndOldest bool

	// Event, if not the zero Event, is sent to a client that is refused, or whose stream
	// is ended as the oldest, together with its reconnection time. It should have
	// a Type, which the page listens to; its Retry is not used.
	Event Event

	refused atomic.Uint64

	mu   sync.Mutex
	keys map[string]*holders
}

// holders are the streams of one key.
type holders struct {
	slots   list.List // of *slot, the oldest first
	refused int       // roughly, since the last one was admitted
}

// A slot is a stream's place in a limit.
type slot struct {
	limit *Limit
	key   string

	// Guarded by limit.mu.
	source  *EventSource  // nil before the stream has begun
	element *list.Element // nil if it no longer counts
}

// Len returns the number of open streams that are counted under a key; if Key is nil,
// the key is empty.
func (l *Limit) Len(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.keys[key]; h != nil {
		return h.slots.Len()
	}
	return 0
}

// Refused returns how many streams the limit has refused so far.
func (l *Limit) Refused() uint64 { return l.refused.Load() }

// take counts a stream under a key. Without room it returns no slot, and how often
// the key was refused, or it ends the oldest stream.
func (l *Limit) take(key string) (s *slot, refusals int) {
	l.mu.Lock()
	h := l.keys[key]
	if h == nil {
		h = new(holders)
		if l.keys == nil {
			l.keys = make(map[string]*holders)
		}
		l.keys[key] = h
	}
	var ending *EventSource
	if l.Max > 0 && h.slots.Len() >= l.Max {
		if !l.EndOldest {
			h.refused++
			defer l.mu.Unlock()
			return nil, h.refused
		}
		oldest := h.slots.Front().Value.(*slot)
		ending = oldest.source // if nil, begin ends it
		h.slots.Remove(oldest.element)
		oldest.element = nil
	}
	h.refused /= 2
	s = &slot{limit: l, key: key}
	s.element = h.slots.PushBack(s)
	l.mu.Unlock()
	if ending != nil {
		ending.end(ErrLimited, l.Event)
	}
	return s, 0
}

// begin gives the slot its source, and ends that if the slot is gone already.
func (s *slot) begin(source *EventSource) {
	s.limit.mu.Lock()
	s.source = source
	counts := s.element != nil
	s.limit.mu.Unlock()
	if !counts {
		source.end(ErrLimited, s.limit.Event)
	}
}

// free makes room for another stream, once.
func (s *slot) free() {
	l := s.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.element == nil {
		return
	}
	h := l.keys[s.key]
	h.slots.Remove(s.element)
	s.element, s.source = nil, nil
	if h.slots.Len() == 0 {
		delete(l.keys, s.key)
	}
}

// An admission is a stream's slots in all limits.
type admission []*slot

// admit counts a request's stream in all limits, or in none: then it returns why, and
// the options end the stream. Limits that refuse come before those that end others.
func (o *AcceptOptions) admit(r *http.Request, options *stream.Options) (a admission, refusal error) {
	if o.expired(time.Now()) {
		options.Refusal, options.Last = ErrExpired, lastChunk(o.ExpiredEvent, stream.ReconnectAfter(options.Retry))
		return nil, ErrExpired
	}
	keys := make([]string, len(o.Limits))
	for i, l := range o.Limits {
		if l.Key != nil {
			keys[i] = l.Key(r) // may panic
		}
	}
	for _, oldest := range [...]bool{false, true} {
		for i, l := range o.Limits {
			if l.EndOldest != oldest || l.Key != nil && keys[i] == "" {
				continue
			}
			s, refusals := l.take(keys[i])
			if s == nil {
				a.free()
				l.refused.Add(1)
				slog.Debug("sse: stream refused", "key", keys[i], "limit", l.Max, "path", r.URL.Path)
				options.Refusal, options.Last = ErrLimited, lastChunk(l.Event, refusedAfter(refusals, options.Retry))
				return nil, fmt.Errorf("%w: key %.40q has %d", ErrLimited, keys[i], l.Max)
			}
			a = append(a, s)
		}
	}
	return a, nil
}

func (a admission) begin(source *EventSource) {
	if len(a) > 0 {
		source.stream.OnEnd(a.free)
	}
	for _, s := range a {
		s.begin(source)
	}
}

func (a admission) free() {
	for _, s := range a {
		s.free()
	}
}

// refusedAfter returns when a client should reconnect that was refused, as one of
// several refusals, and has a reconnection time of its own or none.
func refusedAfter(refusals int, retry time.Duration) time.Duration {
	most := time.Second << min(refusals-1, 3)
	least := max(most/2, retry)
	most = max(most, least+least/4)
	return least + rand.N(most-least)
}

// lastChunk returns what a client is sent last: an event with the time after which it
// should reconnect, or that time alone if the event is the zero one.
func lastChunk(e Event, retry time.Duration) wire.Chunk {
	if e == (Event{}) {
		return wire.Retry(retry)
	}
	e.Retry = retry
	return wire.Event(e).Chunk() // accept has checked it
}
