package main

import (
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.org/sse/ssetest"
)

// numbers reads an event of each meter.
func numbers(t *testing.T, tab *ssetest.Stream) map[string]float64 {
	t.Helper()
	got := make(map[string]float64)
	for _, m := range meters {
		e := tab.Next()
		value, err := strconv.ParseFloat(e.Data, 64)
		if e.Type != m.Type || err != nil || value < 0 {
			t.Fatalf("got %+v, want a number of %s", e, m.Type)
		}
		got[e.Type] = value
	}
	return got
}

// A page gets the numbers at once, and again at each tick; Prometheus gets them, too.
func TestNumbers(t *testing.T) {
	ticks := make(chan time.Time)
	defer close(ticks)
	server := ssetest.NewServer(routes(ticks))
	defer server.Close()
	tabs := []*ssetest.Stream{server.Open(t, "/events"), server.Open(t, "/events")}
	for _, tab := range tabs {
		if got := numbers(t, tab); got["goroutines"] < 1 || got["streams"] < 1 {
			t.Errorf("got %v, want goroutines and a stream", got)
		}
	}
	ticks <- time.Time{}
	for _, tab := range tabs {
		if got := numbers(t, tab); got["streams"] != 2 {
			t.Errorf("got %v, want two streams", got)
		}
	}
	response, err := server.Client().Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sse_streams_opened_total 2", "go_goroutines "} {
		if !strings.Contains(string(body), "\n"+want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}
