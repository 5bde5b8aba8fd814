package main

import (
	"net/http"
	"testing"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/examples/internal/check"
	"example.org/sse/ssetest"
)

func TestStreams(t *testing.T) { check.Streams(t, routes) }

func TestHeaders(t *testing.T) {
	server := ssetest.NewServer(routes(new(sse.Set), app.Parrot))
	defer server.Close()
	const origin, evil = "https://example.org", "https://evil.example"
	tests := []struct{ method, origin, ask, header, want string }{
		{"GET", origin, "", "Access-Control-Allow-Origin", origin},
		{"GET", origin, "", "Access-Control-Allow-Credentials", "true"},
		{"GET", evil, "", "Access-Control-Allow-Origin", ""},
		{"GET", evil, "", "Access-Control-Allow-Credentials", ""},
		{"OPTIONS", origin, "last-event-id", "Access-Control-Allow-Headers", "last-event-id"},
		{"OPTIONS", origin, "last-event-id", "Access-Control-Allow-Credentials", "true"},
	}
	for _, test := range tests {
		r, err := http.NewRequest(test.method, server.URL+"/news", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", test.origin)
		if test.ask != "" {
			r.Header.Set("Access-Control-Request-Method", "GET")
			r.Header.Set("Access-Control-Request-Headers", test.ask)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get(test.header); got != test.want {
			t.Errorf("%s from %s: %s: %q, want %q", test.method, test.origin, test.header, got, test.want)
		}
	}
}
