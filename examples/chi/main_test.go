package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/examples/internal/check"
	"example.org/sse/ssetest"
)

// No stream waits for the timeout, which is over before each begins.
func TestStreams(t *testing.T) {
	check.Streams(t, func(news *sse.Set, model app.Model) http.Handler {
		return routes(news, model, time.Nanosecond)
	})
}

// Behind it a stream ends when the time is over, in the middle of a write too.
func TestBehindTimeout(t *testing.T) {
	var news sse.Set
	behind := middleware.Timeout(time.Millisecond)(routes(&news, app.Parrot, 0))
	server := ssetest.NewServer(behind)
	defer server.Close()
	page := server.Open(t, "/answer?prompt=never")
	page.End()
	if got := page.Events(); len(got) > 1 || len(got) == 1 && got[0].Type != "done" {
		t.Errorf("got %+v", got)
	}
}
