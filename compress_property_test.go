package sse_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// content is an event's data, which follows from its set and number, and resembles that
// of the events before.
func content(set string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d ", set, n)
	for i := range n * 7919 % 40 {
		fmt.Fprintf(&b, "<li id=%d>%x</li>", i, n*i*i%(1<<(i%30)))
	}
	if n%100 == 99 {
		b.WriteString(strings.Repeat(b.String(), 40))
	}
	return b.String()
}

// A mix is a site with sets of each policy and a hub's, and clients that are compressed or
// not, slow or not, in some of the sets.
type mix struct {
	*rand.Rand
	t       *testing.T
	site    *site
	sets    map[string]*sse.Set
	names   []string
	sent    map[string]int
	clients []*mixed
	opened  atomic.Int64
	pause   time.Duration // of a slow client
	reading sync.WaitGroup
}

// A mixed client checks what it is sent.
type mixed struct {
	source *sse.EventSource
	sets   []string
	direct int
	lastID atomic.Pointer[string]
	got    atomic.Int64
	ends   atomic.Bool // cleanly
	cut    atomic.Bool // by the client
}

func newMix(t *testing.T, tr transport, seed uint64, pause time.Duration, start func(transport, http.Handler) *site) *mix {
	m := &mix{Rand: rand.New(rand.NewPCG(seed, 2)), t: t, sent: make(map[string]int), pause: pause}
	hub := &sse.Hub{NewSet: func(_ string, s *sse.Set) { s.Snapshot = snapshotOf }}
	m.sets = map[string]*sse.Set{"close": {}, "skip": {Slow: sse.SkipSlow}, "x": hub.Set("x"), "y": hub.Set("y")}
	m.sets["latest"] = &sse.Set{Slow: sse.LatestPerKey, Key: func(e sse.Event) string { return e.Data[len(e.Data)/2:][:1] }}
	m.names = []string{"close", "skip", "x", "y", "latest"}
	o := &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}, KeepAlive: 3 * time.Millisecond, Backlog: 32 << 10, Retry: time.Second}
	m.site = start(tr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, o, func(source *sse.EventSource) {
			i, _ := strconv.Atoi(r.URL.Query().Get("client"))
			c := m.clients[i]
			c.source = source
			if strings.Join(c.sets, "") == "xy" {
				hub.Add(source, "x", "y")
			} else {
				for _, name := range c.sets {
					m.sets[name].Add(source)
				}
			}
			m.opened.Add(1)
		})
	}))
	return m
}

func snapshotOf(*sse.EventSource) ([]sse.Event, error) {
	return []sse.Event{{Type: "snapshot", Data: strings.Repeat("state ", 200)}}, nil
}

// open opens the stream of one more client.
func (m *mix) open() {
	c := new(mixed)
	switch m.IntN(4) {
	case 0:
		c.sets = []string{"x", "y"}
	case 1:
		c.sets = []string{"close", "skip", "latest"}
	default:
		c.sets = []string{m.names[m.IntN(len(m.names))]}
	}
	headers := []string{"Accept-Encoding", "identity"}
	if m.IntN(4) > 0 {
		headers = nil // net/http asks for gzip
	}
	if i := m.IntN(1 + len(m.clients)); i < len(m.clients) { // as another one that was cut
		if id := m.clients[i].lastID.Load(); id != nil {
			headers = append(headers, "Last-Event-ID", *id)
		}
	}
	m.clients = append(m.clients, c)
	before := m.opened.Load()
	st := m.site.openURL(fmt.Sprintf("http://memory/?client=%d", len(m.clients)-1), headers...)
	if st.response.Uncompressed == (len(headers) > 0 && headers[0] == "Accept-Encoding") {
		m.t.Errorf("compressed: %v, asked with %q", st.response.Uncompressed, headers)
	}
	eventually(m.t, 10*time.Second, "the stream is open", func() bool { return m.opened.Load() > before })
	slow := m.IntN(3) == 0
	r := rand.New(rand.NewPCG(m.Uint64(), 3))
	m.reading.Go(func() {
		if err := c.read(st, slow, m.pause, r); err != nil {
			m.t.Errorf("client %v, compressed %v: %v", c.sets, st.response.Uncompressed, err)
		}
	})
	if m.IntN(8) == 0 {
		m.reading.Go(func() {
			time.Sleep(m.pause) // a client may leave at any time
			c.cut.Store(true)
			st.cancel()
		})
	}
}

// read reads the stream to its end, and returns what is wrong with it.
func (c *mixed) read(st *stream, slow bool, pause time.Duration, r *rand.Rand) error {
	last := make(map[string]int)
	for {
		if slow && r.IntN(20) == 0 {
			time.Sleep(time.Duration(r.Int64N(int64(pause)))) // it is slow
		}
		e, err := st.next()
		if err != nil {
			if c.ends.Load() && !c.cut.Load() && err != io.EOF {
				return fmt.Errorf("it ended with %w, want a clean end", err)
			}
			return nil
		}
		c.lastID.Store(&e.id)
		if e.typ == "snapshot" {
			continue
		}
		var set string
		var n int
		if _, err := fmt.Sscan(e.data, &set, &n); err != nil || e.data != content(set, n) {
			return fmt.Errorf("got %.100q, error %v; want the content of an event", e.data, err)
		}
		if before, ok := last[set]; ok && n <= before {
			return fmt.Errorf("%s: got event %d after %d", set, n, before)
		}
		last[set] = n
		c.got.Add(1)
	}
}

func (m *mix) step() {
	if len(m.clients) == 0 {
		m.open()
	}
	c := m.clients[m.IntN(len(m.clients))]
	switch n := m.IntN(40); {
	case n < 2:
		m.open()
	case n == 2:
		c.ends.Store(c.source.ReadyState() == sse.Open)
		c.source.Close()
		if c.source.Err() != sse.ErrClosed {
			c.ends.Store(false)
		}
	case n < 6:
		c.direct++
		c.source.Dispatch("", content("direct", c.direct))
	case n < 9: // it misses some events
		name := c.sets[m.IntN(len(c.sets))]
		m.sets[name].Delete(c.source)
		m.dispatch(name, m.IntN(3))
		m.sets[name].Add(c.source)
	case n == 9:
		time.Sleep(m.pause / 10) // for keep-alives
	default:
		m.dispatch(m.names[m.IntN(len(m.names))], 1+m.IntN(3)*m.IntN(3))
	}
}

func (m *mix) dispatch(name string, n int) {
	for range n {
		m.sent[name]++
		m.sets[name].Dispatch("", content(name, m.sent[name]))
	}
}

// run takes the steps and ends all streams, by a shutdown of the server.
func (m *mix) run(steps int) {
	for range steps {
		m.step()
	}
	for _, s := range m.sets {
		if m.IntN(2) == 0 {
			s.CloseAll()
		}
	}
	m.site.shutdown()
	m.reading.Wait()
	got := 0
	for _, c := range m.clients {
		got += int(c.got.Load())
	}
	if len(m.clients) > 5 && got < steps/2 {
		m.t.Errorf("%d clients got %d events in %d steps, want more", len(m.clients), got, steps)
	}
}

// Whatever happens to a compressed stream, its client gets what it would get without
// compression.
func TestCompressed(t *testing.T) {
	seeds, steps := 150/slowdown, 400
	if testing.Short() {
		seeds = 3
	}
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				synctest.Test(t, func(t *testing.T) {
					newMix(t, tr, uint64(seed), time.Second, func(tr transport, h http.Handler) *site { return tr.serve(t, h) }).run(steps)
					time.Sleep(time.Second) // fake: whoever pauses for a moment gets to its end
				})
			}
		})
	}
}

// The same over real sockets.
func TestCompressedSockets(t *testing.T) {
	steps := 1000
	if testing.Short() {
		steps = 300
	}
	overEachSocket(t, func(t *testing.T, tr transport) {
		newMix(t, tr, rand.Uint64(), 50*time.Millisecond, func(tr transport, h http.Handler) *site { return tr.listen(t, h, smallBuffers) }).run(steps)
	})
}
