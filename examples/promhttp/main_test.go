package main

import (
	"io"
	"strings"
	"testing"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/examples/internal/check"
	"example.org/sse/ssetest"
)

func TestStreams(t *testing.T) { check.Streams(t, routes) }

func TestMetrics(t *testing.T) {
	var news sse.Set
	server := ssetest.NewServer(routes(&news, app.Parrot))
	defer server.Close()
	server.Open(t, "/news")
	server.Open(t, "/news")
	ssetest.AwaitLen(t, &news, 2)
	check.Await(t, "counted", func() bool {
		response, err := server.Client().Get(server.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		text := string(body)
		return err == nil && (strings.Contains(text, `sse_streams{kind="detached"} 2`) || strings.Contains(text, `sse_streams{kind="attached"} 2`))
	})
}
