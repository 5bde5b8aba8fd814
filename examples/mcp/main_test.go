package main

import (
	"net/http"
	"strings"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/ssetest"
)

// post makes a request of JSON-RPC.
func post(t *testing.T, server *ssetest.Server, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The answer to a call that is cut off goes on in another process, from where it was to
// its end.
func TestResume(t *testing.T) {
	log := new(backplane.Memory)
	here, there := newServer(log), newServer(log)
	defer here.calls.Close()
	defer there.calls.Close()
	first := ssetest.NewServer(here)
	defer first.Close()
	second := ssetest.NewServer(there)
	defer second.Close()
	stream := first.Do(t, post(t, first, `{"id":7,"method":"tools/call","params":{"_meta":{"progressToken":3}}}`))
	e := stream.Next()
	for e.Type != "message" { // an id to resume from
		e = stream.Next()
	}
	if want := `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":0,"progressToken":3}}`; e.Data != want {
		t.Errorf("got %s, want %s", e.Data, want)
	}
	stream.Close()
	r, err := http.NewRequest(http.MethodGet, second.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Last-Event-ID", e.ID)
	again := second.Do(t, r)
	if err := again.End(); err != nil {
		t.Error(err)
	}
	events := again.Events()
	if n := len(events); n != 10 || !strings.Contains(events[n-1].Data, `"id":7`) || !strings.Contains(events[n-1].Data, "gold") {
		t.Errorf("got %d events, %+v, want nine more and the result", n, events)
	}
}

// Requests that are not calls get an answer, and no stream.
func TestAnswers(t *testing.T) {
	server := ssetest.NewServer(newServer(nil))
	defer server.Close()
	for _, tt := range []struct {
		method, body string
		code         int
	}{
		{http.MethodPost, `{"id":1,"method":"initialize"}`, http.StatusOK},
		{http.MethodPost, `{"id":1,"method":"tools/list"}`, http.StatusOK},
		{http.MethodPost, `{"method":"notifications/initialized"}`, http.StatusAccepted},
		{http.MethodPost, `no JSON`, http.StatusMethodNotAllowed},
		{http.MethodGet, ``, http.StatusMethodNotAllowed},
	} {
		r := post(t, server, tt.body)
		r.Method = tt.method
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tt.code {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.body, response.StatusCode, tt.code)
		}
	}
}
