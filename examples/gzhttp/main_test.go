package main

import (
	"testing"

	"github.com/klauspost/compress/gzhttp"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/examples/internal/check"
	"example.org/sse/ssetest"
)

func TestStreams(t *testing.T) { check.Streams(t, routes) }

// What the package has compressed is left alone, and costs no compressor for each stream.
func TestCompressedOnce(t *testing.T) {
	news := sse.Set{AcceptOptions: &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}}}
	server := ssetest.NewServer(gzhttp.GzipHandler(app.Routes(&news, app.Parrot)))
	defer server.Close()
	page := server.Open(t, "/news")
	if !page.Response.Uncompressed {
		t.Error("the response was not compressed")
	}
	ssetest.AwaitLen(t, &news, 1)
	for range 3 {
		news.Dispatch("", "event")
		if e := page.Next(); e.Data != "event" {
			t.Errorf("got %+v", e)
		}
	}
	news.CloseAll()
	page.End()
}

// Without the option streams are compressed: each event arrives at once, but none is
// detached.
func TestCompressed(t *testing.T) {
	var news sse.Set
	server := ssetest.NewServer(gzhttp.GzipHandler(app.Routes(&news, app.Parrot)))
	defer server.Close()
	before := sse.ReadStats().NotDetached["Content-Encoding"]
	page := server.Open(t, "/news")
	if !page.Response.Uncompressed {
		t.Error("the response was not compressed")
	}
	check.Await(t, "attached", func() bool { return sse.ReadStats().NotDetached["Content-Encoding"] == before+1 })
	ssetest.AwaitLen(t, &news, 1)
	for range 3 {
		news.Dispatch("", "event")
		if e := page.Next(); e.Data != "event" {
			t.Errorf("got %+v", e)
		}
	}
}
