package sse_test

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// Limits and gauges by ConnState, and by middleware, count streams with a handler, and
// not detached ones, as the documentation of Listener says; AfterFunc counts both.
func TestLimits(t *testing.T) {
	for _, tr := range []transport{transports[0], detachedTransport} {
		t.Run(tr.name, func(t *testing.T) {
			if tr.detached {
				onlyLinux(t)
			}
			const clients, limit = 5, 3
			var conns, handlers, streams atomic.Int64
			var group sse.Set
			site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handlers.Add(1) // as middleware does
				defer handlers.Add(-1)
				sse.Serve(w, r, nil, func(source *sse.EventSource) {
					streams.Add(1)
					source.AfterFunc(func() { streams.Add(-1) })
					group.Add(source)
				})
			}), func(srv *http.Server) {
				srv.ConnState = func(c net.Conn, state http.ConnState) {
					switch state {
					case http.StateNew:
						if conns.Add(1) > limit {
							c.Close()
						}
					case http.StateClosed, http.StateHijacked:
						conns.Add(-1)
					}
				}
			})
			counted, let := int64(limit), limit
			if tr.detached {
				counted, let = 0, clients
			}
			for i := range let {
				site.open()
				want := min(counted, int64(i+1))
				eventually(t, 10*time.Second, "the stream is counted", func() bool {
					return conns.Load() == want && handlers.Load() == want && streams.Load() == int64(i+1)
				})
			}
			if let == limit {
				if response, err := site.client.Get("http://memory/"); err == nil {
					response.Body.Close()
					t.Errorf("stream %d: got %s, want an error", let+1, response.Status)
				}
			}
			group.CloseAll()
			eventually(t, 10*time.Second, "no stream is left", func() bool { return streams.Load() == 0 })
		})
	}
}
