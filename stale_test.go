package sse_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
	"example.org/sse/internal/poll"
)

// A staleListener's connections are in memory, and its poller tells what a test
// wants it to tell, too.
type staleListener struct {
	*memhttp.Listener
	poller *stalePoller
}

type staleConn struct {
	net.Conn
	network *staleListener
}

type stalePoller struct {
	poll.Poller
	mu     sync.Mutex
	tokens []uint64
	told   []poll.Event
}

func (l *staleListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return staleConn{c, l}, err
}

func (c staleConn) Detach() (poll.Socket, poll.Network, error) {
	s, _, err := c.Conn.(poll.Detachable).Detach()
	return s, c.network, err
}

func (l *staleListener) NewPoller() (poll.Poller, error) {
	p, err := l.Listener.NewPoller()
	l.poller.Poller = p
	return l.poller, err
}

func (p *stalePoller) Add(s *poll.Socket, token uint64) error {
	p.mu.Lock()
	p.tokens = append(p.tokens, token)
	p.mu.Unlock()
	return p.Poller.Add(s, token)
}

func (p *stalePoller) Wait(events []poll.Event, until time.Time) (int, error) {
	p.mu.Lock()
	n := copy(events, p.told)
	p.told = nil
	p.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return p.Poller.Wait(events, until)
}

// What was told about a stream that has ended meanwhile does not reach the one
// that has its place now.
func TestStaleEvents(t *testing.T) {
	onlyLinux(t)
	synctest.Test(t, func(t *testing.T) {
		l := &staleListener{memhttp.Listen(socketBuffer), new(stalePoller)}
		handler, sources := connected(nil)
		site := detachedTransport.start(t, handler, l, func(ctx context.Context) (net.Conn, error) { return l.Dial(ctx) })
		keeper := site.open() // so that the shard lives on
		<-sources
		synctest.Wait()
		first := site.open()
		gone := <-sources
		synctest.Wait()
		first.close()
		gone.Wait()
		st := site.open()
		source := <-sources
		synctest.Wait()

		p := l.poller
		p.mu.Lock()
		old, now := p.tokens[1], p.tokens[len(p.tokens)-1]
		p.told = []poll.Event{{Token: old, Ended: true}}
		p.mu.Unlock()
		if uint32(old) != uint32(now) {
			t.Errorf("tokens %x and %x have different places: the test shows nothing", old, now)
		}
		p.Interrupt()
		synctest.Wait()
		if source.ReadyState() != sse.Open {
			t.Errorf("it has ended: %v", source.Err())
		}
		source.Dispatch("", "x")
		st.want("message|x")
		keeper.close()
	})
}

// A client that reads a little all the time, but takes longer than the write
// timeout for what it was sent, is too slow.
func TestTricklingClient(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		if tr.http2 {
			t.Skip("the client's own buffers take it all")
		}
		group := &sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: 10 * time.Second}}
		st := tr.serve(t, group).open()
		synctest.Wait()
		var source *sse.EventSource
		for s := range group.All() {
			source = s
		}
		start := time.Now()
		for range 100 {
			group.Dispatch("", string(make([]byte, 10<<10)))
		}
		var reading sync.WaitGroup
		reading.Go(func() {
			for buf := make([]byte, 2<<10); ; {
				if _, err := st.response.Body.Read(buf); err != nil {
					return
				}
				time.Sleep(time.Second) // fake
			}
		})
		select {
		case <-source.Done():
		case <-time.After(time.Minute):
		}
		d, err := time.Since(start), source.Err()
		st.close()
		reading.Wait()
		if err != sse.ErrSlow || d < 9*time.Second || d > 21*time.Second {
			t.Errorf("ended with %v after %v", err, d)
		}
	})
}
