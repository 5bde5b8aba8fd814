package main

import (
	"context"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/ssetest"
)

// options have clients that left noticed soon.
var options = &sse.AcceptOptions{
	KeepAlive: 20 * time.Millisecond, WriteTimeout: time.Second, Retry: time.Millisecond,
}

// start starts the program, and returns its URL.
func start(t *testing.T, a *fiber.App) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		a.Shutdown()
		<-served
	})
	return "http://" + l.Addr().String()
}

func get(ctx context.Context, t *testing.T, url string) io.ReadCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response.Body
}

// A stream gets events at once, ends, and resumes; its client's leaving is noticed.
func TestBroadcast(t *testing.T) {
	var news sse.Set
	client := sse.Client{URL: start(t, routes(&news, app.Parrot, options)) + "/news"}
	ctx, leave := context.WithCancel(t.Context())
	page := ssetest.Record(t, client.Events(ctx))
	for _, text := range []string{"one", "two", "three"} {
		ssetest.AwaitLen(t, &news, 1)
		news.Dispatch("", text)
		if e := page.Next(); e.Data != text {
			t.Errorf("got %+v, want %s", e, text)
		}
		if text == "two" {
			news.CloseAll()
		}
	}
	leave()
	ssetest.AwaitLen(t, &news, 0)
}

// A model's words arrive when they are spoken, and it stops when its client leaves.
func TestAnswer(t *testing.T) {
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
	url := start(t, routes(new(sse.Set), model, options)) + "/answer?prompt=why"
	ctx, leave := context.WithCancel(t.Context())
	page := ssetest.Record(t, sse.Events(get(ctx, t, url)))
	for _, want := range []string{"why", "because"} {
		if e := page.Next(); e.Data != want {
			t.Errorf("got %+v, want %s", e, want)
		}
		if want == "why" {
			words <- "because"
		}
	}
	leave()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("the model does not stop")
	}
}

// Shutdown returns, and ends the streams.
func TestShutdown(t *testing.T) {
	var news sse.Set
	waiting := make(chan struct{})
	model := func(ctx context.Context, prompt string) iter.Seq[string] {
		return func(yield func(string) bool) {
			yield(prompt)
			close(waiting)
			<-ctx.Done()
		}
	}
	a := routes(&news, model, options)
	url := start(t, a)
	bodies := []io.Reader{get(t.Context(), t, url+"/news"), get(t.Context(), t, url+"/answer?prompt=last")}
	<-waiting
	ssetest.AwaitLen(t, &news, 1)
	news.Dispatch("", "last")
	if err := a.ShutdownWithTimeout(time.Minute); err != nil {
		t.Error(err)
	}
	for _, body := range bodies {
		got, err := io.ReadAll(body)
		if err != nil || !strings.Contains(string(got), "data: last\n\n") {
			t.Errorf("got %q, error %v", got, err)
		}
	}
}

// A client that reads nothing is disconnected, so that a shutdown does not wait for it.
func TestStalled(t *testing.T) {
	var news sse.Set
	a := routes(&news, app.Parrot, options)
	get(t.Context(), t, start(t, a)+"/news") // and reads nothing
	ssetest.AwaitLen(t, &news, 1)
	for large := strings.Repeat("x", 1<<20); news.Len() > 0; {
		news.Dispatch("", large)
	}
	if err := a.ShutdownWithTimeout(time.Minute); err != nil {
		t.Error(err)
	}
}
