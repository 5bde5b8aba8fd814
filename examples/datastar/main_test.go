package main

import (
	"testing"

	"example.org/sse/ssetest"
)

// A page has the number at once, and each click of any page.
func TestCounter(t *testing.T) {
	server := ssetest.NewServer(routes(t.TempDir()))
	defer server.Close()
	page := server.Open(t, "/events")
	for _, want := range []string{`fragments <b id="count">0</b>`, `fragments <b id="count">1</b>`} {
		if got := page.Next(); got.Type != "datastar-merge-fragments" || got.Data != want {
			t.Fatalf("got %+v, want %s", got, want)
		}
		response, err := server.Client().Post(server.URL+"/click", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
}
