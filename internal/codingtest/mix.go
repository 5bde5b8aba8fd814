package codingtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// A mix is a site with sets of each policy and a hub's, and clients that are compressed or
// not, slow or not, in some of the sets.
type mix struct {
	*rand.Rand
	t       *testing.T
	codec   Codec
	seen    *counts
	pause   time.Duration // of a slow client
	http    *http.Client
	hub     *sse.Hub
	sets    map[string]*sse.Set
	clients []*client
	stalls  int
	running sync.WaitGroup

	mu    sync.Mutex
	texts map[string][]string // the events of each set, and of the clients' own
}

// names are those of the sets; sets that lose nothing of a slow client close it.
var (
	names    = []string{"close", "skip", "x", "y", "latest"}
	lossless = map[string]bool{"close": true, "x": true, "y": true}
)

func newMix(t *testing.T, c Codec, seen *counts, seed uint64, pause time.Duration) *mix {
	m := &mix{Rand: rand.New(rand.NewPCG(seed, 2)), t: t, codec: c, seen: seen, pause: pause, texts: make(map[string][]string)}
	m.hub = &sse.Hub{NewSet: func(_ string, s *sse.Set) { s.Snapshot = snapshotOf }}
	m.sets = map[string]*sse.Set{"close": {}, "skip": {Slow: sse.SkipSlow}, "x": m.hub.Set("x"), "y": m.hub.Set("y")}
	m.sets["latest"] = &sse.Set{Slow: sse.LatestPerKey, Key: func(e sse.Event) string {
		_, n, _ := parse(e.Data)
		return strconv.Itoa(n % 2)
	}}
	return m
}

func snapshotOf(*sse.EventSource) ([]sse.Event, error) {
	return []sse.Event{{Type: "snapshot", Data: strings.Repeat("state ", 200)}}, nil
}

func (m *mix) dispatch(name string, n, random int) {
	for range n {
		m.sets[name].Dispatch("", m.add(name, random))
	}
}

func (m *mix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, _ := strconv.Atoi(r.URL.Query().Get("client"))
	c := m.clients[i]
	o := &sse.AcceptOptions{Compress: []sse.Coding{m.codec.Coding}, KeepAlive: m.pause / 16, Backlog: 32 << 10, Retry: time.Second}
	if i%8 == 7 {
		o.MaxAge = 3 * m.pause
	}
	sse.Serve(w, r, o, func(source *sse.EventSource) {
		defer close(c.opened)
		c.source = source
		for _, name := range c.sets {
			c.joined[name] = m.sent(name)
		}
		if strings.Join(c.sets, "") == "xy" {
			m.hub.Add(source, "x", "y")
			return
		}
		for _, name := range c.sets {
			m.sets[name].Add(source)
		}
	})
}

// open opens the stream of one more client.
func (m *mix) open() {
	c := newClient(m)
	switch m.IntN(4) {
	case 0:
		c.sets = []string{"x", "y"}
	case 1:
		c.sets = []string{"close", "skip", "latest"}
	default:
		c.sets = []string{names[m.IntN(len(names))]}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://test/?client=%d", len(m.clients)), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	coding := ""
	if m.IntN(4) > 0 {
		coding = m.codec.Coding.String()
		r.Header.Set("Accept-Encoding", coding)
	}
	if i := m.IntN(1 + len(m.clients)); i < len(m.clients) { // as another one that was cut
		if id := m.clients[i].lastID.Load(); id != nil {
			r.Header.Set("Last-Event-ID", *id)
		}
	}
	m.clients = append(m.clients, c)
	response, err := m.http.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Encoding"); got != coding {
		m.t.Errorf("got Content-Encoding %q, want %q", got, coding)
	}
	<-c.opened
	random := rand.New(rand.NewPCG(m.Uint64(), 3))
	slow := m.IntN(3) == 0
	m.running.Go(func() {
		defer cancel()
		defer response.Body.Close()
		c.end = c.read(response.Body, coding != "", slow, random)
		c.ended.Store(true)
	})
	if m.IntN(8) == 0 {
		m.running.Go(func() {
			time.Sleep(m.pause) // a client may leave at any time
			c.left.Store(true)
			cancel()
		})
	}
}

func (m *mix) step() {
	if len(m.clients) == 0 {
		m.open()
	}
	c := m.clients[m.IntN(len(m.clients))]
	name := c.sets[m.IntN(len(c.sets))]
	switch n := m.IntN(200); {
	case n < 10:
		m.open()
	case n < 14:
		c.goOn()
		c.ending()
		c.closed = c.closed || c.source.ReadyState() == sse.Open
		c.source.Close()
	case n < 30:
		c.goOn()
		if err := c.source.Dispatch("", m.add(c.own, 0)); err != nil && c.source.ReadyState() == sse.Open {
			m.t.Errorf("direct event: %v", err)
		}
	case n < 44: // it misses some events
		was := m.sets[name].Delete(c.source)
		from := m.sent(name)
		m.dispatch(name, m.IntN(3), 0)
		c.miss(name, from)
		if was && m.sets[name].Add(c.source) {
			m.seen.add("rejoined", 1)
		}
	case n < 49:
		time.Sleep(m.pause / 10) // for keep-alives
	case n < 51:
		m.stall()
	case n < 55:
		c.goOn()
	default:
		m.dispatch(names[m.IntN(len(names))], 1+m.IntN(3)*m.IntN(3), 0)
	}
}

// stall stops a client from reading, until the policy of one of its sets is applied to it.
func (m *mix) stall() {
	m.stalls++
	name := []string{"skip", "latest", "close"}[m.stalls%3]
	s := m.sets[name]
	i := slices.IndexFunc(m.clients, func(c *client) bool { return s.Has(c.source) })
	if i < 0 {
		return
	}
	c := m.clients[i]
	c.stop()
	skipped := s.Skipped()
	for n := 0; n < 100 && s.Has(c.source) && s.Skipped() == skipped; n++ {
		if m.dispatch(name, 1, 8<<10); name == "latest" && n > 40 {
			break // which waits for no limit
		}
	}
}

// catchUp waits until a client has read what was sent to it, or its stream has ended.
func (m *mix) catchUp(c *client) {
	last := m.sent(c.own)
	if c.source.Dispatch("", m.add(c.own, 0)) != nil {
		return
	}
	for c.lastOwn.Load() < int64(last) && !c.ended.Load() {
		time.Sleep(time.Millisecond) // polling what a client brings about
	}
}

// run takes the steps and ends all streams, by a shutdown of the server.
func (m *mix) run(w way, l net.Listener, dial func(context.Context) (net.Conn, error)) {
	server, client := w.newServer(m), w.newClient(dial)
	m.http = client
	m.running.Go(func() {
		if err := server.Serve(w.listener(l)); !errors.Is(err, http.ErrServerClosed) {
			m.t.Errorf("Serve: %v", err)
		}
	})
	defer client.CloseIdleConnections()
	defer server.Close()
	for range steps {
		m.step()
	}
	for _, c := range m.clients {
		c.goOn()
	}
	for _, c := range m.clients {
		m.catchUp(c) // a shutdown does not wait long
	}
	for _, name := range names {
		m.dispatch(name, m.IntN(5), 0)
	}
	for _, c := range m.clients {
		c.ending()
	}
	for _, s := range m.sets {
		if m.IntN(2) == 0 {
			s.CloseAll()
		}
	}
	if err := server.Shutdown(context.Background()); err != nil {
		m.t.Errorf("Shutdown: %v", err)
	}
	m.running.Wait()
	for i, c := range m.clients {
		if err := c.check(); err != nil {
			m.t.Errorf("client %d, in %v, compressed %v, ended with %v: %v", i, c.sets, c.encoded != nil, c.source.Err(), err)
		}
	}
}
