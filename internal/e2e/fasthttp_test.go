package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"example.org/sse"
)

// Below the adaptor of fasthttp, which fiber uses as well, there is no http.Server, and the
// response goes through a pipe: streams keep their handlers, also on a Listener.
func TestFastHTTP(t *testing.T) {
	for _, tt := range []struct {
		name string
		wrap func(net.Listener) net.Listener
	}{
		{"plain", func(l net.Listener) net.Listener { return l }},
		{"Listener", sse.Listener},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const streams, events = 10, 500
			group := sse.Set{AcceptOptions: &sse.AcceptOptions{KeepAlive: 100 * time.Millisecond}}
			before := sse.ReadStats().NotDetached["no sse.Listener"]
			origin, shutDown := startFastHTTP(t, &group, tt.wrap)
			opened := openStreams(t, http.DefaultClient, origin+"/events", streams)
			awaitMembers(t, &group, streams)
			eventually(t, soon, func() string {
				stats := sse.ReadStats()
				if n := stats.NotDetached["no sse.Listener"] - before; stats.Attached != streams || stats.Detached != 0 || n != streams {
					return fmt.Sprintf("%+v, %d not detached, want %d attached", stats, n, streams)
				}
				return ""
			})
			for i := range events {
				group.Dispatch("", fmt.Sprint(i))
			}
			for n, s := range opened {
				for i := range events {
					if want := fmt.Sprint("data: ", i); !s.sees("data: ") || s.lines.Text() != want {
						t.Fatalf("stream %d: got %q, error %v; want %q", n, s.lines.Text(), s.lines.Err(), want)
					}
				}
			}
			opened[0].Close() // which a keep-alive notices
			awaitMembers(t, &group, streams-1)
			group.CloseAll()
			wantEnds(t, opened[1:])

			endStalled(t, &group, http.DefaultClient, origin+"/events")

			last := openStreams(t, http.DefaultClient, origin+"/events", streams)
			awaitMembers(t, &group, streams)
			shutDown()
			wantEnds(t, last)
		})
	}
}

// startFastHTTP starts a server, and returns how to shut it down, which happens when the
// test ends at the latest.
func startFastHTTP(t *testing.T, handler http.Handler, wrap func(net.Listener) net.Listener) (origin string, shutDown func()) {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: fasthttpadaptor.NewFastHTTPHandler(handler)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(wrap(l)) }()
	stop := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := srv.ShutdownWithContext(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String(), stop
}
