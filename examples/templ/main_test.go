package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.org/sse/ssetest"
)

// A page has the result at once, and each vote; a vote for nothing is rejected.
func TestPoll(t *testing.T) {
	server := ssetest.NewServer(routes(t.TempDir()))
	defer server.Close()
	vote := func(option string, want int) {
		t.Helper()
		response, err := server.Client().Post(server.URL+"/votes/"+option, "", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("vote for %s: got status %d, want %d", option, response.StatusCode, want)
		}
	}
	vote("1", http.StatusNoContent)
	stream := server.Open(t, "/events")
	want := func(tabs, spaces string) {
		t.Helper()
		data := stream.Next().Data
		for _, part := range []string{">Tabs</button>", "<output>" + tabs + "</output>", ">Spaces</button>", "<output>" + spaces + "</output>"} {
			_, rest, found := strings.Cut(data, part)
			if !found {
				t.Errorf("got %q, want %q in it", data, part)
			}
			data = rest
		}
	}
	want("0", "1")
	vote("2", http.StatusNotFound)
	vote("none", http.StatusNotFound)
	vote("0", http.StatusNoContent)
	want("1", "1")
	vote("1", http.StatusNoContent)
	want("1", "2")
}

// The page connects to the stream.
func TestPage(t *testing.T) {
	w := httptest.NewRecorder()
	routes(t.TempDir()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if want := `hx-sse:connect="/events"`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %q, want %q in it", w.Body, want)
	}
}
