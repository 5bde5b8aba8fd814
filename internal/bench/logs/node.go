//go:build linux

package logs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse"
	"example.org/sse/internal/bench/process"
)

const (
	setName  = "board"
	dataSize = 100 // bytes of data in an event
)

// A Node is a process with a hub, or with several where the log is in its memory. Its
// exported methods are called by the measuring process.
type Node struct {
	hubs    []*sse.Hub
	members *members
}

// NodeConfig says what a node is to be.
type NodeConfig struct {
	Engine   string
	Addrs    string // of the broker
	Hubs     int
	Snapshot int // size of its data
}

// Order is for events to dispatch, until both For and Count are reached.
type Order struct {
	Callers int
	For     time.Duration
	Count   int           // for each caller
	Pause   time.Duration // between the events of a caller
}

// Times describe calls, or the way of events. They are ns.
type Times struct {
	Events   int
	P50, P99 int64
	Took     time.Duration // in all
}

// Address is where a node serves its set, and an id to resume from.
type Address struct{ Addr, ID string }

// Open makes the hubs, and a member of each.
func (n *Node) Open(c NodeConfig, _ *process.None) error {
	e, err := Find(c.Engine)
	if err != nil {
		return err
	}
	if err := process.RaiseFileLimit(0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log, err := e.open(ctx, c.Addrs)
	if err != nil {
		return err
	}
	snapshot := []sse.Event{{Type: "snapshot", Data: "seq=1 " + strings.Repeat("x", c.Snapshot)}}
	for range c.Hubs {
		h := &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return snapshot, nil }
		}}
		n.hubs = append(n.hubs, h)
		if err := h.WaitReady(ctx); err != nil {
			return err
		}
	}
	n.members = join(n.hubs)
	return nil
}

// Forget forgets the times of arrival so far.
func (n *Node) Forget(process.None, *process.None) error {
	n.members.forget()
	return nil
}

// Write dispatches to the first hub. Each caller dispatches its next event when the
// call before has returned.
func (n *Node) Write(o Order, t *Times) error {
	var (
		mu      sync.Mutex
		calls   = newHistogram()
		errs    error
		callers sync.WaitGroup
		began   = time.Now()
	)
	for range o.Callers {
		callers.Go(func() {
			own := newHistogram()
			done, err := n.dispatch(own, o, began)
			mu.Lock()
			defer mu.Unlock()
			calls.Merge(own)
			t.Events += done
			errs = errors.Join(errs, err)
		})
	}
	callers.Wait()
	t.P50, t.P99, t.Took = calls.ValueAtQuantile(50), calls.ValueAtQuantile(99), time.Since(began)
	return errs
}

// dispatch is one caller.
func (n *Node) dispatch(calls *hdrhistogram.Histogram, o Order, began time.Time) (events int, err error) {
	set := n.hubs[0].Set(setName)
	pause := time.NewTicker(max(o.Pause, 1))
	defer pause.Stop()
	for time.Since(began) < o.For || events < o.Count {
		start := process.Monotonic()
		data := fmt.Sprintf("at=%d seq=%d ", start, events+1)
		data += strings.Repeat("x", max(0, dataSize-len(data)))
		if _, err := set.DispatchOnce(context.Background(), "", sse.Event{Data: data}); err != nil {
			return events, err
		}
		_ = calls.RecordValue(process.Monotonic() - start) // fails above a minute, when DispatchOnce has failed
		if events++; o.Pause > 0 {
			<-pause.C
		}
	}
	return events, nil
}

// Await waits until the members have that many events, and fails if one has more. It
// returns the times from an event's dispatch to its arrival.
func (n *Node) Await(events int, t *Times) (err error) {
	*t, err = n.members.await(events)
	return err
}

// Serve serves the first hub's set.
func (n *Node) Serve(_ process.None, a *Address) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: n.hubs[0].Set(setName)} //nolint:gosec // its clients are ours
	go s.Serve(sse.Listener(l))                        //nolint:errcheck // until the process ends
	*a = Address{l.Addr().String(), n.members.oldID()}
	return nil
}

// AwaitDetached waits until that many streams are detached.
func (n *Node) AwaitDetached(streams int, _ *process.None) error {
	for began := time.Now(); sse.ReadStats().Detached < streams; time.Sleep(time.Millisecond) { // the last handlers are about to return
		if time.Since(began) > patience/2 {
			return fmt.Errorf("got %+v, want %d detached streams", sse.ReadStats(), streams)
		}
	}
	return nil
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, patience.Nanoseconds(), 3) }
