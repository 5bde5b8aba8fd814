//go:build linux

package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse/internal/bench/control"
	"example.org/sse/internal/bench/machine"
	"example.org/sse/internal/bench/subject"
)

// A dispatcher dispatches events one after the other, in a goroutine of its
// own: a dispatch that hangs leaves the process able to answer.
type dispatcher struct {
	server subject.Server
	wake   chan struct{}

	mu       sync.Mutex
	upTo     int // events that are ordered
	size     int
	greeting bool
	next     int
	starts   []int64
	calls    *hdrhistogram.Histogram // ns
	since    time.Time               // when the call began that has not returned, or zero
	err      error                   // the first one
}

func newDispatcher(s subject.Server) *dispatcher {
	return &dispatcher{
		server: s,
		wake:   make(chan struct{}, 1),
		next:   1,
		calls:  hdrhistogram.New(1, time.Minute.Nanoseconds(), 3),
	}
}

// order has the events dispatched up to that number.
func (d *dispatcher) order(upTo, size int) {
	d.mu.Lock()
	d.upTo, d.size = upTo, size
	d.mu.Unlock()
	d.poke()
}

// greet has an event 0 dispatched.
func (d *dispatcher) greet() {
	d.mu.Lock()
	d.greeting = true
	d.mu.Unlock()
	d.poke()
}

func (d *dispatcher) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dispatcher) run(ctx context.Context) {
	for {
		event, size, ok := d.claim()
		if !ok {
			select {
			case <-d.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		data := Data(event, size)
		d.called(event)
		d.returned(d.server.Dispatch(data))
	}
}

// Data returns the data of an event: its number, and what it takes to make it
// as long as it should be.
func Data(event, size int) string {
	number := fmt.Sprintf("seq=%d ", event)
	return number + strings.Repeat("x", max(0, size-len(number)))
}

// claim returns the event to dispatch next, if there is one.
func (d *dispatcher) claim() (event, size int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.greeting:
		d.greeting = false
		return 0, 0, true
	case d.next > d.upTo:
		return 0, 0, false
	}
	event, d.next = d.next, d.next+1
	return event, d.size, true
}

func (d *dispatcher) called(event int) {
	if event == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starts = append(d.starts, machine.Monotonic())
	d.since = time.Now()
}

func (d *dispatcher) returned(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	if d.since.IsZero() {
		return // a greeting
	}
	_ = d.calls.RecordValue(time.Since(d.since).Nanoseconds()) // fails above a minute, when nobody asks any more
	d.since = time.Time{}
}

// forget begins a new account of the calls.
func (d *dispatcher) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starts = d.starts[:0]
	d.calls.Reset()
}

func (d *dispatcher) usage() *control.UsageReply {
	d.mu.Lock()
	defer d.mu.Unlock()
	longest := d.calls.Max()
	if !d.since.IsZero() {
		longest = max(longest, time.Since(d.since).Nanoseconds())
	}
	return &control.UsageReply{
		CPU:     machine.CPU(),
		Starts:  append([]int64(nil), d.starts...),
		P50:     d.calls.ValueAtQuantile(50),
		P99:     d.calls.ValueAtQuantile(99),
		Longest: longest,
	}
}

func (d *dispatcher) failure() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		return ""
	}
	return "dispatch: " + d.err.Error()
}
