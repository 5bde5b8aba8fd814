package sse_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A source's context is done at the end of the stream, whatever ends it, and not before,
// though the handler may be gone. It has the request's values.
func TestContext(t *testing.T) {
	type key struct{}
	for _, tt := range []struct {
		name string
		end  func(*sse.EventSource, *stream, *site)
		want error
	}{
		{"Close", func(s *sse.EventSource, _ *stream, _ *site) { s.Close() }, sse.ErrClosed},
		{"client", func(_ *sse.EventSource, st *stream, _ *site) { st.close() }, sse.ErrGone},
		{"Shutdown", func(_ *sse.EventSource, _ *stream, site *site) { go site.server.Shutdown(site.t.Context()) }, sse.ErrShutdown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				sources := make(chan *sse.EventSource, 1)
				contexts := make(chan context.Context, 1)
				site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r = r.WithContext(context.WithValue(r.Context(), key{}, "value"))
					sse.Serve(w, r, nil, func(source *sse.EventSource) {
						sources <- source
						contexts <- source.Context()
					})
				}))
				st := site.open()
				source, ctx := <-sources, <-contexts
				time.Sleep(time.Minute) // fake
				later := source.Context()
				if ctx.Err() != nil || later.Err() != nil || ctx.Value(key{}) != "value" {
					t.Errorf("got errors %v, %v, value %v; want none, and a value", ctx.Err(), later.Err(), ctx.Value(key{}))
				}
				tt.end(source, st, site)
				time.Sleep(10 * time.Second) // fake
				synctest.Wait()
				for _, ctx := range []context.Context{ctx, later, source.Context()} {
					<-ctx.Done()
					if got := context.Cause(ctx); !errors.Is(got, tt.want) {
						t.Errorf("got cause %v, want %v", got, tt.want)
					}
				}
			})
		})
	}
}

// The context of a source that Accept did not make is done.
func TestContextWithoutStream(t *testing.T) {
	if got := context.Cause((*sse.EventSource)(nil).Context()); got != sse.ErrClosed {
		t.Errorf("got cause %v, want %v", got, sse.ErrClosed)
	}
}
