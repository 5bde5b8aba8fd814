//go:build linux

package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse"
	"example.org/sse/internal/bench/machine"
)

const (
	setName  = "board"
	dataSize = 100 // bytes of data in an event
)

// A node is a process with a hub, or several where the log is in its memory.
type node struct {
	hubs     []*sse.Hub
	members  *members
	closeLog func()
	newcomer string // what the snapshot has
	server   *http.Server
	serving  sync.WaitGroup
}

func playNode(ctx context.Context, _ string, in io.Reader, out io.Writer) error {
	if err := machine.RaiseFileLimit(0); err != nil {
		return err
	}
	n := new(node)
	defer n.close()
	return serve(in, out, map[string]func(order) (reply, error){
		"open":  func(o order) (reply, error) { return reply{}, n.open(ctx, o) },
		"write": func(o order) (reply, error) { return n.write(ctx, o) },
		"await": func(o order) (reply, error) { return n.await(o.Count) },
		"forget": func(order) (reply, error) {
			n.members.mu.Lock()
			defer n.members.mu.Unlock()
			n.members.latency.Reset()
			return reply{}, nil
		},
		"serve":    func(order) (reply, error) { return n.serve(ctx) },
		"detached": func(o order) (reply, error) { return reply{}, awaitDetached(o.Count) },
	})
}

// open makes the hubs, and a member of each.
func (n *node) open(ctx context.Context, o order) error {
	e, err := Find(o.Engine)
	if err != nil {
		return err
	}
	log, closeLog, err := e.open(ctx, o.Addrs)
	if err != nil {
		return err
	}
	n.closeLog = closeLog
	n.newcomer = strings.Repeat("x", o.Count)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range o.Hubs {
		h := &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
				return []sse.Event{{Type: "snapshot", Data: "seq=1 " + n.newcomer}}, nil
			}
		}}
		n.hubs = append(n.hubs, h)
		if err := h.WaitReady(ctx); err != nil {
			return err
		}
	}
	n.members = join(n.hubs)
	for _, h := range n.hubs {
		for h.Set(setName).Len() == 0 {
			time.Sleep(time.Millisecond) // the member is joining
		}
	}
	return nil
}

func (n *node) close() {
	if n.server != nil {
		n.server.Close()
		n.serving.Wait()
	}
	for _, h := range n.hubs {
		h.Set(setName).CloseAll()
		h.Close()
	}
	if n.members != nil {
		n.members.leave()
	}
	if n.closeLog != nil {
		n.closeLog()
	}
}

// write has callers dispatch to the first hub, each an event when it is done with
// the one before, for a time or up to a number of events.
func (n *node) write(ctx context.Context, o order) (reply, error) {
	var (
		set     = n.hubs[0].Set(setName)
		began   = time.Now()
		mu      sync.Mutex
		calls   = hdrhistogram.New(1, patience.Nanoseconds(), 3)
		events  int
		errs    error
		callers sync.WaitGroup
	)
	for range o.Callers {
		callers.Go(func() {
			own := hdrhistogram.New(1, patience.Nanoseconds(), 3)
			done, err := dispatch(ctx, set, own, o, began)
			mu.Lock()
			defer mu.Unlock()
			calls.Merge(own)
			events += done
			errs = errors.Join(errs, err)
		})
	}
	callers.Wait()
	return reply{
		Events: events,
		P50:    float64(calls.ValueAtQuantile(50)),
		P99:    float64(calls.ValueAtQuantile(99)),
		Took:   float64(time.Since(began)),
	}, errs
}

// dispatch is one caller.
func dispatch(ctx context.Context, set *sse.Set, calls *hdrhistogram.Histogram, o order, began time.Time) (events int, err error) {
	pause := time.NewTicker(max(o.Pause, 1))
	defer pause.Stop()
	for time.Since(began) < o.For || events < o.Count {
		start := machine.Monotonic()
		data := fmt.Sprintf("at=%d seq=%d ", start, events+1)
		data += strings.Repeat("x", max(0, dataSize-len(data)))
		if _, err := set.DispatchOnce(ctx, "", sse.Event{Data: data}); err != nil {
			return events, err
		}
		_ = calls.RecordValue(machine.Monotonic() - start) // fails above a minute, when DispatchOnce has
		if events++; o.Pause > 0 {
			<-pause.C
		}
	}
	return events, nil
}

// await waits until the members have so many events, and no more.
func (n *node) await(events int) (reply, error) {
	n.members.await(events)
	for _, has := range n.members.has() {
		if has != events {
			return reply{}, fmt.Errorf("a member has %d events, of %d", has, events)
		}
	}
	n.members.mu.Lock()
	defer n.members.mu.Unlock()
	return reply{
		P50: float64(n.members.latency.ValueAtQuantile(50)),
		P99: float64(n.members.latency.ValueAtQuantile(99)),
	}, nil
}

// serve serves the first hub's set, and returns the id of an event that clients
// may come back with.
func (n *node) serve(ctx context.Context) (reply, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return reply{}, err
	}
	n.server = &http.Server{Handler: n.hubs[0].Set(setName)} //nolint:gosec // its clients are ours
	n.serving.Go(func() { n.server.Serve(l) })               //nolint:errcheck // the listener's end, which is close's doing
	return reply{Addr: l.Addr().String(), ID: n.members.all[0].oldID()}, nil
}

// awaitDetached waits until so many streams are.
func awaitDetached(streams int) error {
	for began := time.Now(); sse.ReadStats().Detached < streams; {
		if time.Since(began) > patience/2 {
			return fmt.Errorf("of %d streams there are %+v", streams, sse.ReadStats())
		}
		time.Sleep(time.Millisecond) // the last handlers are about to return
	}
	return nil
}
