//go:build linux

package logs

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse"
	"example.org/sse/internal/bench/process"
)

// recalled is the number of newest events whose ids are kept for clients that resume.
const recalled = 16

// members are those of the hubs of a process, one each. Their events go no further:
// neither net/http nor a socket is involved.
type members struct {
	all []*member

	mu      sync.Mutex
	changed *sync.Cond
	latency *hdrhistogram.Histogram // ns, of all
}

// A member is the ResponseWriter of a stream.
type member struct {
	*members
	header http.Header
	rest   []byte // the beginning of an event

	events int              // guarded by members.mu, as is ids
	ids    [recalled][]byte // of the newest events, in turn
}

// join adds a member to the set of each hub, and waits until all are in.
func join(hubs []*sse.Hub) *members {
	m := &members{latency: newHistogram()}
	m.changed = sync.NewCond(&m.mu)
	for _, h := range hubs {
		one := &member{members: m, header: make(http.Header)}
		m.all = append(m.all, one)
		go h.Set(setName).ServeHTTP(one, httptest.NewRequest(http.MethodGet, "/", nil)) // until the process ends
		for h.Set(setName).Len() == 0 {
			time.Sleep(time.Millisecond) // the member is joining
		}
	}
	return m
}

func (m *members) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latency.Reset()
}

// await waits until each member has that many events.
func (m *members) await(events int) (Times, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, one := range m.all {
		for one.events < events {
			m.changed.Wait()
		}
	}
	for _, one := range m.all {
		if one.events != events {
			return Times{}, fmt.Errorf("a member has %d events, want %d", one.events, events)
		}
	}
	return Times{Events: events, P50: m.latency.ValueAtQuantile(50), P99: m.latency.ValueAtQuantile(99)}, nil
}

// oldID returns the id of an event that is not the newest one.
func (m *members) oldID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.all[0]
	return string(one.ids[one.events%recalled])
}

// Header returns the response's header.
func (m *member) Header() http.Header { return m.header }

// WriteHeader does nothing.
func (m *member) WriteHeader(int) {}

// Flush does nothing: what is written has arrived.
func (m *member) Flush() {}

// Write takes a part of the body.
func (m *member) Write(p []byte) (int, error) {
	now := process.Monotonic()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rest = append(m.rest, p...)
	left := m.rest
	for {
		event, after, whole := bytes.Cut(left, []byte("\n\n"))
		if !whole {
			break
		}
		left = after
		m.takeLocked(event, now)
	}
	m.rest = append(m.rest[:0], left...)
	m.changed.Broadcast()
	return len(p), nil
}

// takeLocked takes an event. The data of those that count begins with the time of its
// dispatch.
func (m *member) takeLocked(event []byte, now int64) {
	_, data, _ := bytes.Cut(event, []byte("data: at="))
	digits, _, _ := bytes.Cut(data, []byte(" "))
	at, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return
	}
	_, id, _ := bytes.Cut(event, []byte("id: "))
	id, _, _ = bytes.Cut(id, []byte("\n"))
	m.ids[m.events%recalled] = append(m.ids[m.events%recalled][:0], id...)
	m.events++
	_ = m.latency.RecordValue(now - at) // fails above a minute, when nobody waits
}
