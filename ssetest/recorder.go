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

// patience is how long a test waits for what should happen.
const patience = 10 * time.Second

// A Recorder records the events of a stream as they come, and lets a test wait
// for them. [Recorder.Next] and [Recorder.End] are for the test's goroutine,
// since they may end the test; Events is for any.
type Recorder struct {
	// Timeout is how long Next and End wait until they fail the test. 0: 10 s,
	// negative: for ever.
	Timeout time.Duration

	t    testing.TB
	what string // is recorded

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of what is below
	events  []sse.Event
	next    int  // of Next
	stalled bool // a Stream that is
	ended   bool
	err     error // why, nil for cleanly
}

// Record records what a loop yields: over [sse.Events] of a response's body, over
// the Events of an [sse.Client], or any other.
//
//	recorder := ssetest.Record(t, client.Events(t.Context()))
//
// The loop must have ended 10 s after the test has, or the test fails; one with
// the test's context has.
func Record(t testing.TB, events iter.Seq2[sse.Event, error]) *Recorder {
	r := &Recorder{t: t, what: "recorded stream"}
	r.begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.record(events)
	}()
	t.Cleanup(func() {
		select {
		case <-done:
		case <-time.After(patience):
			t.Errorf("ssetest: %s: it still goes on %v after its test; let it end with the test's context", r.what, patience)
		}
	})
	return r
}

// Next waits for the event after the one that it returned last, and returns it.
// It fails the test, and says what there was, if none comes within the Timeout,
// or if the stream ends.
//
// An event is as [sse.Decoder.Decode] returns it: its Type is never empty.
func (r *Recorder) Next() sse.Event {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.await(func() bool { return r.next < len(r.events) || r.ended })
	if r.next < len(r.events) {
		r.next++
		return r.events[r.next-1]
	}
	if r.ended {
		r.t.Fatalf("ssetest: %s: no event: %s", r.what, r.state())
	}
	r.t.Fatalf("ssetest: %s: no event within %v: %s", r.what, r.timeout(), r.state())
	return sse.Event{}
}

// Events returns all events so far, those that Next has returned too.
func (r *Recorder) Events() []sse.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// End waits for the end of the stream and returns nil if it ended cleanly, and
// else what its connection failed with. It fails the test if the stream does not
// end within the Timeout. Events that come meanwhile are there for Next.
func (r *Recorder) End() error {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.await(func() bool { return r.ended }) {
		r.t.Fatalf("ssetest: %s: no end within %v: %s", r.what, r.timeout(), r.state())
	}
	return r.err
}

// begin begins a recording, or goes on with one.
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

// change changes what mu guards.
func (r *Recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Recorder) timeout() time.Duration {
	if r.Timeout == 0 {
		return patience
	}
	return r.Timeout
}

// await waits for a condition and reports whether it holds, and not the Timeout
// was first. The caller holds r.mu.
func (r *Recorder) await(condition func() bool) bool {
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

// state tells what there is, for messages. The caller holds r.mu.
func (r *Recorder) state() string {
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
		return s + ", and there was no event"
	}
	last := r.events[len(r.events)-1]
	s += fmt.Sprintf("; events so far: %d, the last of type %.50q with data %.100q", len(r.events), last.Type, last.Data)
	if last.ID != "" {
		s += fmt.Sprintf(" and id %.50q", last.ID)
	}
	return s
}

// AwaitLen waits until a [sse.Set] or a [sse.Map] has n members. It fails the
// test if it has not within 10 s.
//
// A stream is open a moment before its handler has added it, and is a member for
// a moment after its client has left.
func AwaitLen(t testing.TB, set interface{ Len() int }, n int) {
	t.Helper()
	for end := time.Now().Add(patience); set.Len() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("ssetest: %T has %d members after %v, want %d", set, set.Len(), patience, n)
			return
		}
	}
}
