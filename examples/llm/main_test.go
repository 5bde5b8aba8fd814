package main

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/examples/internal/app"
	"example.org/sse/ssetest"
)

// speaker is a model that says the words that it is given.
func speaker(words <-chan string) app.Model {
	return func(ctx context.Context, prompt string) iter.Seq[string] {
		return func(yield func(string) bool) {
			for word := prompt; ; {
				if word == "" || !yield(word) {
					return
				}
				select {
				case word = <-words:
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

// text returns what a page shows at the answer's end, and the end.
func text(t *testing.T, page *ssetest.Stream) string {
	t.Helper()
	var text strings.Builder
	for {
		switch e := page.Next(); e.Type {
		case "message":
			text.WriteString(e.Data)
		case "end":
			return text.String() + e.Data
		}
	}
}

// word waits for the next word.
func word(t *testing.T, page *ssetest.Stream) {
	t.Helper()
	for page.Next().Type != "message" { // an id to resume from
	}
}

// ask posts a prompt, and returns the answer's path.
func ask(t *testing.T, server *ssetest.Server) string {
	t.Helper()
	response, err := server.Client().PostForm(server.URL, url.Values{"prompt": {"why"}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.Request.URL.Path
}

// Two tabs, one that is reloaded, one that is cut off and one that comes when all is
// over have the same text, in one process and in two.
func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, word, want string
		log              backplane.Log
	}{
		{"done", "", "why because it is done", nil},
		{"stopped", "stop", "why because it is stopped", nil},
		{"done, two processes", "", "why because it is done", new(backplane.Memory)},
		{"stopped, two processes", "stop", "why because it is stopped", new(backplane.Memory)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			words := make(chan string)
			var servers []*ssetest.Server
			for range 2 {
				hub := newHub()
				hub.Log = tt.log
				defer hub.Close()
				server := ssetest.NewServer(routes(hub, speaker(words)))
				defer server.Close()
				if servers = append(servers, server); tt.log == nil {
					servers = append(servers, server)
					break
				}
			}
			path := ask(t, servers[0])
			first := servers[0].Open(t, path+"/events")
			word(t, first)
			words <- "because"
			second := servers[1].Open(t, path+"/events")
			word(t, first)
			first.Reconnect() // with the id of the last event, which it has
			words <- "it"
			reloaded := servers[1].Open(t, path+"/events")
			words <- "is"
			if tt.word == "" {
				words <- ""
			} else {
				response, err := http.Post(servers[0].URL+path+"/stop", "", nil)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
			}
			late := servers[1].Open(t, path+"/events")
			for i, page := range []*ssetest.Stream{second, reloaded, late} {
				if got := text(t, page); got != tt.want {
					t.Errorf("page %d: got %q, want %q", i, got, tt.want)
				}
			}
			if got, want := text(t, first), strings.TrimPrefix(tt.want, "why because "); got != want {
				t.Errorf("the page that was cut off: got %q, want %q", got, want)
			}
		})
	}
}
