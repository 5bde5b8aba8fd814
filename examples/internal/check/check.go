// Package check tests the streams of the examples, on sockets: streams that are
// detached from their handlers, and others, of HTTP/1.1 and HTTP/2.
package check

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/ssetest"
)

// patience is a guard against hangs, on a busy machine.
const patience = 30 * time.Second

// Streams tests /news and /answer, with the prompt in a parameter of that name.
func Streams(t *testing.T, routes func(*sse.Set, app.Model) http.Handler) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run("broadcast, "+protocol, func(t *testing.T) { broadcast(t, routes, protocol == "HTTP/2") })
		t.Run("answer, "+protocol, func(t *testing.T) { answer(t, routes, protocol == "HTTP/2") })
	}
	t.Run("shutdown, detached", func(t *testing.T) { shutdown(t, routes, sse.Listener) })
	t.Run("shutdown", func(t *testing.T) { shutdown(t, routes, func(l net.Listener) net.Listener { return l }) })
}

// serve starts a server until the test's end.
func serve(t *testing.T, handler http.Handler, http2 bool) *ssetest.Server {
	t.Helper()
	server := ssetest.NewServer(handler)
	server.HTTP2 = http2
	t.Cleanup(server.Close)
	return server
}

// open opens a stream as browsers do, which take compressed responses.
func open(t *testing.T, server *ssetest.Server, target string) *ssetest.Stream {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	stream := server.Do(t, r)
	stream.Timeout = patience
	return stream
}

// next waits for an event.
func next(t *testing.T, stream *ssetest.Stream, want string) {
	t.Helper()
	if got := stream.Next(); got.Data != want {
		t.Fatalf("got %q, want %q", got.Data, want)
	}
}

// broadcast: the streams of a set get its events, resume, are detached where that is
// possible, and leave when their clients do.
func broadcast(t *testing.T, routes func(*sse.Set, app.Model) http.Handler, http2 bool) {
	var news sse.Set
	server := serve(t, routes(&news, app.Parrot), http2)
	page := open(t, server, "/news")
	ssetest.AwaitLen(t, &news, 1)
	if runtime.GOOS == "linux" && !http2 {
		Await(t, "detached", func() bool { return sse.ReadStats().Detached == 1 })
	}
	news.Dispatch("", "one")
	next(t, page, "one")
	page.Close()
	ssetest.AwaitLen(t, &news, 0)
	news.Dispatch("", "two")
	page.Reconnect()
	next(t, page, "two")
	ssetest.AwaitLen(t, &news, 1)
	news.Dispatch("", "three")
	next(t, page, "three")
}

// answer: a model's words arrive when they are spoken, and it stops when its client
// leaves.
func answer(t *testing.T, routes func(*sse.Set, app.Model) http.Handler, http2 bool) {
	words, stopped := make(chan string), make(chan struct{})
	model := func(ctx context.Context, prompt string) iter.Seq[string] {
		return func(yield func(string) bool) {
			defer close(stopped)
			for yield(prompt) {
				select {
				case prompt = <-words:
				case <-ctx.Done():
					return
				}
			}
		}
	}
	page := open(t, serve(t, routes(new(sse.Set), model), http2), "/answer?prompt=why")
	next(t, page, "why")
	words <- "because"
	next(t, page, "because")
	page.Close()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Error("the model does not stop")
	}
}

// shutdown: both kinds of stream get a reconnection time and a clean end, and Shutdown
// returns.
func shutdown(t *testing.T, routes func(*sse.Set, app.Model) http.Handler, listener func(net.Listener) net.Listener) {
	var news sse.Set
	waiting := make(chan struct{})
	model := func(ctx context.Context, prompt string) iter.Seq[string] {
		return func(yield func(string) bool) {
			yield(prompt)
			close(waiting)
			<-ctx.Done()
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, served := &http.Server{Handler: routes(&news, model)}, make(chan error, 1)
	go func() { served <- srv.Serve(listener(l)) }()
	defer func() {
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	defer srv.Close()
	client := &http.Client{Transport: new(http.Transport), Timeout: 2 * patience}
	var bodies []io.Reader
	for _, target := range []string{"/news", "/answer?prompt=last"} {
		response, err := client.Get("http://" + l.Addr().String() + target)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		bodies = append(bodies, response.Body)
	}
	<-waiting
	ssetest.AwaitLen(t, &news, 1)
	news.Dispatch("", "last")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, body := range bodies {
		got, err := io.ReadAll(body)
		if err != nil || !regexp.MustCompile(`data: last\n\nretry: \d+\n$`).Match(got) {
			t.Errorf("got %q, error %v, want a reconnection time at the end", got, err)
		}
	}
}

// Await waits until something is so.
func Await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not %s; %+v", what, sse.ReadStats())
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}
