//go:build linux

package logs

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse"
	"example.org/sse/internal/bench/machine"
)

// recalled is how many events before the newest one a client has seen that comes
// back.
const recalled = 16

// members are those of the hubs in a process. What they are sent goes no further
// than here: neither net/http nor a socket is in it.
type members struct {
	all  []*member
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	latency *hdrhistogram.Histogram // ns, of all
	last    int64                   // when the newest event came, on the monotonic clock
}

// A member is the ResponseWriter of one stream.
type member struct {
	*members
	header http.Header
	rest   []byte // the beginning of a line

	// Guarded by members.mu.
	events int
	ids    [recalled][]byte // of the newest events, in turn
	id     []byte
}

// join adds a member to the set of each hub, and waits until all are in.
func join(hubs []*sse.Hub) *members {
	ctx, stop := context.WithCancel(context.Background())
	m := &members{stop: stop, latency: hdrhistogram.New(1, patience.Nanoseconds(), 3)}
	m.changed = sync.NewCond(&m.mu)
	for _, h := range hubs {
		one := &member{members: m, header: make(http.Header)}
		m.all = append(m.all, one)
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		m.wg.Go(func() { h.Set(setName).ServeHTTP(one, r) })
	}
	return m
}

func (m *members) leave() {
	m.stop()
	m.wg.Wait()
}

// await waits until each has so many events, and returns when the last of these
// came.
func (m *members) await(events int) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, one := range m.all {
		for one.events < events {
			m.changed.Wait()
		}
	}
	return m.last
}

// has returns how many events each has.
func (m *members) has() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var events []int
	for _, one := range m.all {
		events = append(events, one.events)
	}
	return events
}

// Header is that of the response.
func (m *member) Header() http.Header { return m.header }

// WriteHeader does nothing.
func (m *member) WriteHeader(int) {}

// Flush does nothing: what is written is there.
func (m *member) Flush() {}

// Write takes a part of the body.
func (m *member) Write(p []byte) (int, error) {
	now := machine.Monotonic()
	m.mu.Lock()
	defer m.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if rest = after; !whole {
			m.rest = append(m.rest, line...)
			break
		}
		if len(m.rest) > 0 {
			line = append(m.rest, line...)
			m.rest = m.rest[:0]
		}
		m.line(line, now)
	}
	m.changed.Broadcast()
	return len(p), nil
}

// line takes a line of the body; an event's data begins with when it was
// dispatched. The caller holds mu.
func (m *member) line(line []byte, now int64) {
	if id, ok := bytes.CutPrefix(line, []byte("id: ")); ok {
		m.id = append(m.id[:0], id...)
	}
	data, ok := bytes.CutPrefix(line, []byte("data: at="))
	if !ok {
		return
	}
	digits, _, _ := bytes.Cut(data, []byte(" "))
	at, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return // and the events are not all there
	}
	m.ids[m.events%recalled] = append(m.ids[m.events%recalled][:0], m.id...)
	m.events++
	m.last = now
	_ = m.latency.RecordValue(now - at) // fails above a minute, when nobody waits any more
}

// oldID returns the id of an event that is not the newest one.
func (m *member) oldID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.ids[m.events%recalled])
}
