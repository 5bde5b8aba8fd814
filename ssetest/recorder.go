package ssetest

import (
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// defaultTimeout is how long a test waits for something that should happen.
const defaultTimeout = 10 * time.Second

// A Recorder records the events of a stream as they arrive, and lets a test wait
// for them. [Recorder.Next] and [Recorder.End] must be called from the test's
// goroutine, since they may end the test; Events may be called from any.
type Recorder struct {
	// Timeout is how long Next and End wait before they fail the test. 0 means
	// 10 s, negative means forever.
	Timeout time.Duration

	t    testing.TB
	name string // of the stream, for messages

	mu      sync.Mutex
	changed chan struct{} // closed when a field below changes
	events  []sse.Event
	next    int  // the index of the event that Next returns
	stalled bool // the recorder is a stalled Stream's
	ended   bool
	err     error // nil if the stream ended cleanly
}

// Record records the events of a loop, such as [sse.Events] of a response's body
// or the Events of an [sse.Client].
//
//	recorder := ssetest.Record(t, client.Events(t.Context()))
//
// The test fails if the loop is still running 10 s after the test ends; pass
// t.Context() to end it in time.
func Record(t testing.TB, events iter.Seq2[sse.Event, error]) *Recorder {
	r := &Recorder{t: t, name: "recorded stream"}
	r.begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.record(events)
	}()
	t.Cleanup(func() {
		select {
		case <-done:
		case <-time.After(defaultTimeout):
			t.Errorf("ssetest: %s: still running %v after the test; pass t.Context() to end it in time", r.name, defaultTimeout)
		}
	})
	return r
}

// Next waits for the next event and returns it. It fails the test, with a message
// that describes the stream, if no event arrives within the Timeout or if the
// stream ends.
//
// Events are as [sse.Decoder.Decode] returns them: the Type is never empty.
func (r *Recorder) Next() sse.Event {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.awaitLocked(func() bool { return r.next < len(r.events) || r.ended })
	if r.next < len(r.events) {
		r.next++
		return r.events[r.next-1]
	}
	if r.ended {
		r.t.Fatalf("ssetest: %s: no event: %s", r.name, r.stateLocked())
	}
	r.t.Fatalf("ssetest: %s: no event within %v: %s", r.name, r.timeout(), r.stateLocked())
	return sse.Event{}
}

// Events returns all events so far, including those that Next has returned.
func (r *Recorder) Events() []sse.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// End waits for the end of the stream. It returns nil if the stream ended cleanly,
// and the connection's error otherwise. It fails the test if the stream does not
// end within the Timeout. Events that arrive meanwhile are recorded for Next.
func (r *Recorder) End() error {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.awaitLocked(func() bool { return r.ended }) {
		r.t.Fatalf("ssetest: %s: no end within %v: %s", r.name, r.timeout(), r.stateLocked())
	}
	return r.err
}

// begin begins or continues a recording.
func (r *Recorder) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = make(chan struct{})
	r.stalled, r.ended, r.err = false, false, nil
}

func (r *Recorder) record(events iter.Seq2[sse.Event, error]) {
	var failure error
	for e, err := range events {
		if failure = err; err != nil {
			break
		}
		r.change(func() { r.events = append(r.events, e) })
	}
	r.change(func() { r.ended, r.err = true, failure })
}

// change calls f with mu held, and wakes those that wait for a change.
func (r *Recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Recorder) timeout() time.Duration {
	if r.Timeout == 0 {
		return defaultTimeout
	}
	return r.Timeout
}

// awaitLocked waits for a condition and reports whether it became true within the
// Timeout. It releases mu while it waits.
func (r *Recorder) awaitLocked(condition func() bool) bool {
	var expired <-chan time.Time
	if d := r.timeout(); d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	for waiting := true; !condition(); {
		if !waiting {
			return false
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-expired:
			waiting = false
		}
		r.mu.Lock()
	}
	return true
}

// stateLocked describes the stream, for messages.
func (r *Recorder) stateLocked() string {
	s := "the stream is open"
	switch {
	case r.ended && r.err != nil:
		s = fmt.Sprintf("the stream ended with %q", r.err)
	case r.ended:
		s = "the stream ended cleanly"
	case r.stalled:
		s = "the stream is stalled"
	}
	if len(r.events) == 0 {
		return s + "; no events so far"
	}
	last := r.events[len(r.events)-1]
	s += fmt.Sprintf("; events so far: %d, the last has type %.50q, data %.100q", len(r.events), last.Type, last.Data)
	if last.ID != "" {
		s += fmt.Sprintf(", id %.50q", last.ID)
	}
	return s
}

// AwaitLen waits until a [sse.Set] or a [sse.Map] has n members. It fails the
// test if that takes more than 10 s.
//
// A stream is open shortly before its handler adds it, and remains a member for a
// short time after its client has left.
func AwaitLen(t testing.TB, set interface{ Len() int }, n int) {
	t.Helper()
	for end := time.Now().Add(defaultTimeout); set.Len() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("ssetest: %T has %d members after %v, want %d", set, set.Len(), defaultTimeout, n)
			return
		}
	}
}
