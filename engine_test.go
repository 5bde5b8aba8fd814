package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/internal/memhttp"
	"example.org/sse/internal/poll"
)

// A large set is walked by several goroutines at once where there are processors,
// while members come and go: each gets each event once.
func TestParallelWalks(t *testing.T) {
	skipShort(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	members, events := 6000/slowdown, 60
	var group sse.Set
	accept := func() (*sse.EventSource, *httptest.ResponseRecorder) {
		w := httptest.NewRecorder()
		source, err := sse.Accept(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		return source, w
	}
	var all []*sse.EventSource
	var recorders []*httptest.ResponseRecorder
	for range members {
		source, w := accept()
		group.Add(source)
		all, recorders = append(all, source), append(recorders, w)
	}
	var passing sync.WaitGroup
	stop := make(chan bool)
	for range 2 {
		passing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				source, _ := accept()
				group.Add(source)
				group.Delete(source)
				source.Close()
			}
		})
	}
	for i := range events {
		if n, _ := group.Dispatch("", strconv.Itoa(i)); n < members {
			t.Fatalf("%d members, want %d", n, members)
		}
	}
	close(stop)
	passing.Wait()
	for i, source := range all {
		source.Close()
		d := newDecoder(recorders[i].Body)
		for want := range events {
			if e, err := d.next(); err != nil || e.data != strconv.Itoa(want) {
				t.Fatalf("member %d: got %q, error %v; want %d", i, e.data, err, want)
			}
		}
		if e, err := d.next(); err != io.EOF {
			t.Fatalf("member %d: got %q, error %v; want the end", i, e.data, err)
		}
	}
}

// A failing network is one whose pollers fail when a test wants it.
type failingNetwork struct {
	*memhttp.Listener
	noPoller, noAdd, noWait atomic.Bool
	poller                  atomic.Pointer[failingPoller]
}

type failingConn struct {
	net.Conn
	network *failingNetwork
}

type failingPoller struct {
	poll.Poller
	network *failingNetwork
}

var errFails = errors.New("it fails")

func (n *failingNetwork) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return failingConn{c, n}, nil
}

func (c failingConn) Detach() (poll.Socket, poll.Network, error) {
	s, _, err := c.Conn.(poll.Detachable).Detach()
	return s, c.network, err
}

func (n *failingNetwork) NewPoller() (poll.Poller, error) {
	if n.noPoller.Load() {
		return nil, errFails
	}
	p, err := n.Listener.NewPoller()
	f := &failingPoller{p, n}
	n.poller.Store(f)
	return f, err
}

func (p *failingPoller) Add(s *poll.Socket, token uint64) error {
	if p.network.noAdd.Load() {
		return errFails
	}
	return p.Poller.Add(s, token)
}

func (p *failingPoller) Wait(events []poll.Event, until time.Time) (int, error) {
	if p.network.noWait.Load() {
		return 0, errFails
	}
	return p.Poller.Wait(events, until)
}

// Streams whose sockets cannot be watched end with a reason, each of them, and the
// next ones are served as ever.
func TestPollerFails(t *testing.T) {
	onlyLinux(t)
	for _, tt := range []struct {
		name string
		fail func(*failingNetwork, bool)
	}{
		{"NewPoller", func(n *failingNetwork, on bool) { n.noPoller.Store(on) }},
		{"Add", func(n *failingNetwork, on bool) { n.noAdd.Store(on) }},
		{"Wait", func(n *failingNetwork, on bool) {
			n.noWait.Store(on)
			if p := n.poller.Load(); p != nil {
				p.Interrupt()
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &failingNetwork{Listener: memhttp.Listen(socketBuffer)}
				handler, sources := connected(nil)
				site := detachedTransport.start(t, handler, n, func(ctx context.Context) (net.Conn, error) { return n.Dial(ctx) })
				var group sse.Set
				if tt.name != "Wait" {
					tt.fail(n, true)
				}
				var failed []*sse.EventSource
				for range 3 {
					site.open()
					source := <-sources
					group.Add(source)
					failed = append(failed, source)
				}
				synctest.Wait()
				tt.fail(n, true)
				synctest.Wait()
				for _, source := range failed {
					if err := source.Wait(); !errors.Is(err, sse.ErrGone) || !errors.Is(err, errFails) {
						t.Errorf("ended with %v, want ErrGone and the failure", err)
					}
				}
				if group.Len() != 0 {
					t.Errorf("%d members left", group.Len())
				}
				tt.fail(n, false)
				st := site.open()
				source := <-sources
				synctest.Wait()
				source.Dispatch("", "again")
				st.want("message|again")
				source.Close()
				st.wantEnd()
			})
		})
	}
}

// Waiting for a log ends with the source, and with the hub.
func TestWaitForLog(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for _, end := range []string{"the source", "the hub"} {
			block := make(chan bool)
			defer close(block)
			hub := &sse.Hub{Log: &faulty{Log: new(backplane.Memory), follow: func(ctx context.Context, _ backplane.Cursor) error {
				select {
				case <-block:
				case <-ctx.Done():
				}
				return ctx.Err()
			}}}
			handler, sources := connected(nil)
			st := tr.serve(t, handler).open()
			source := <-sources
			added := make(chan bool)
			go func() { added <- hub.Add(source, "a", "b") }()
			synctest.Wait()
			select {
			case <-added:
				t.Fatal("Add has not waited for the log")
			default:
			}
			if end == "the source" {
				go source.Close()
			} else {
				hub.Close()
			}
			<-added
			if end == "the hub" { // the stream goes on
				source.Dispatch("", "own")
				st.want("message|own")
				source.Close()
			}
			st.wantEnd()
			hub.Close()
			if _, err := hub.Set("a").Dispatch("", "x"); !errors.Is(err, sse.ErrClosed) {
				t.Errorf("Dispatch after Close: %v, want ErrClosed", err)
			}
			if err := hub.WaitReady(t.Context()); !errors.Is(err, sse.ErrClosed) {
				t.Errorf("WaitReady after Close: %v, want ErrClosed", err)
			}
		}
	})
}

// A log that cannot be followed for a while is followed again, from where it was.
func TestFollowerRetries(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var fails atomic.Int32
		var afters []backplane.Cursor
		var mu sync.Mutex
		log := new(backplane.Memory)
		var cancel atomic.Pointer[context.CancelFunc]
		hub := &sse.Hub{Log: &cutLog{Memory: log, cancel: &cancel, before: func(after backplane.Cursor) error {
			mu.Lock()
			defer mu.Unlock()
			afters = append(afters, after)
			if fails.Add(-1) >= 0 {
				return errFails
			}
			return nil
		}}}
		defer hub.Close()
		st := tr.serve(t, rooms(hub)).openURL(at("a"))
		synctest.Wait()
		hub.Set("a").Dispatch("", "0")
		for i := range 3 {
			fails.Store(int32(i))
			(*cancel.Load())()
			st.want("message|" + strconv.Itoa(i))
			if _, err := hub.Set("a").Dispatch("", strconv.Itoa(i+1)); err != nil {
				t.Error(err)
			}
		}
		st.want("message|3")
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(len(afters), afters[len(afters)-1].Seq); got != "7 3" {
			t.Errorf("followed after %v, want 7 times, the last time after the third entry", afters)
		}
	})
}

// A cutLog's Follow ends when cancel is called.
type cutLog struct {
	*backplane.Memory
	cancel *atomic.Pointer[context.CancelFunc]
	before func(after backplane.Cursor) error
}

func (l *cutLog) Follow(ctx context.Context, after backplane.Cursor, take func([]backplane.Entry, bool) error) error {
	if err := l.before(after); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.cancel.Store(&cancel)
	return l.Memory.Follow(ctx, after, take)
}
