package sse_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// A sink is a ResponseWriter that takes everything at once: what is left is the
// package's own cost.
type sink struct {
	header  http.Header
	flushes *atomic.Int64
}

func (s sink) Header() http.Header              { return s.header }
func (s sink) WriteHeader(int)                  {}
func (s sink) Write(p []byte) (int, error)      { return len(p), nil }
func (s sink) SetWriteDeadline(time.Time) error { return nil }
func (s sink) SetReadDeadline(time.Time) error  { return nil }
func (s sink) FlushError() error {
	s.flushes.Add(1)
	return nil
}

// Flush makes it an http.Flusher.
func (s sink) Flush() { s.flushes.Add(1) }

// sinks adds n members with sinks to the set, and returns what counts their
// flushes.
func sinks(tb testing.TB, group *sse.Set, n int) *atomic.Int64 {
	flushes := new(atomic.Int64)
	for range n {
		go group.ServeHTTP(sink{make(http.Header), flushes}, httptest.NewRequest("GET", "/", nil))
	}
	waitFor(func() bool { return group.Len() == n && flushes.Load() == int64(n) })
	tb.Cleanup(func() {
		group.CloseAll()
		waitFor(func() bool { return group.Len() == 0 })
	})
	return flushes
}

func waitFor(condition func() bool) {
	for !condition() {
		time.Sleep(10 * time.Microsecond) // polling what other goroutines bring about
	}
}

// What a dispatch costs the caller, and a delivery the process, by the package's
// own doing.
func BenchmarkDispatch(b *testing.B) {
	for _, size := range []int{100, 1024} {
		data := strings.Repeat("x", size)
		b.Run(fmt.Sprintf("%dB/members=0", size), func(b *testing.B) {
			var group sse.Set
			b.ReportAllocs()
			for b.Loop() {
				group.Dispatch("", data)
			}
		})
		b.Run(fmt.Sprintf("%dB/members=1000", size), func(b *testing.B) {
			const members = 1000
			var group sse.Set
			flushes := sinks(b, &group, members)
			b.ReportAllocs()
			for b.Loop() {
				want := flushes.Load() + members
				group.Dispatch("", data)
				waitFor(func() bool { return flushes.Load() >= want })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/delivery")
		})
	}
}

// The same over real connections, whose other ends this process reads too.
func BenchmarkDispatchSockets(b *testing.B) {
	const members = 1000
	for _, size := range []int{100, 1024} {
		for _, kind := range []string{"attached", "detached"} {
			b.Run(fmt.Sprintf("%dB/%s=%d", size, kind, members), func(b *testing.B) {
				group := &sse.Set{History: -1}
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if kind == "attached" {
						w = holding{w}
					}
					group.ServeHTTP(w, r)
				}))
				defer server.Close()
				defer func() {
					group.CloseAll()
					waitFor(func() bool { return group.Len() == 0 })
				}()
				var received atomic.Int64
				for range members {
					response, err := http.Get(server.URL)
					if err != nil {
						b.Fatal(err)
					}
					go func() {
						defer response.Body.Close()
						io.Copy(counter{&received}, response.Body)
					}()
				}
				waitFor(func() bool { return group.Len() == members && received.Load() == int64(members*len(":\n")) })
				data := strings.Repeat("x", size)
				b.ReportAllocs()
				for b.Loop() {
					want := received.Load() + int64(members*(len("data: \n\n")+size))
					group.Dispatch("", data)
					waitFor(func() bool { return received.Load() >= want })
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/delivery")
			})
		}
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
