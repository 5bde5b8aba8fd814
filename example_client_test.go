package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"example.org/sse"
)

// Events reads the stream of a language model's response. The program makes the
// request itself, and does not repeat it when the stream ends.
func ExampleEvents() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"delta\": \"Hello\"}\n\ndata: {\"delta\": \"!\"}\n\ndata: [DONE]\n\n")
	}))
	defer server.Close()

	response, err := http.Post(server.URL, "application/json", strings.NewReader(`{"prompt": "Say hello."}`))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status)
	}
	for event, err := range sse.Events(response.Body) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Data)
	}
	// Output:
	// {"delta": "Hello"}
	// {"delta": "!"}
	// [DONE]
}

// A Decoder also returns comments, and the id and the reconnection time with which
// to resume.
func ExampleDecoder() {
	d := sse.NewDecoder(strings.NewReader(": welcome\nretry: 5000\nid: 41\n\nevent: greeting\ndata: Hello\ndata: World\nid: 42\n\n"))
	d.OnComment = func(text string) { fmt.Println("comment:", text) }
	for {
		event, err := d.Decode()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %q\n", event.Type, event.Data)
	}
	fmt.Println("resume after", d.LastEventID, "in", d.Retry)
	// Output:
	// comment:  welcome
	// greeting: "Hello\nWorld"
	// resume after 42 in 5s
}

// A Client reconnects when the stream ends, and resumes after the last event.
func ExampleClient() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch r.Header.Get("Last-Event-ID") {
		case "":
			io.WriteString(w, "retry: 100\nid: 1\ndata: one\n\nid: 2\ndata: two\n\n")
		case "2":
			io.WriteString(w, "id: 3\ndata: three\n\n")
		default:
			w.WriteHeader(http.StatusNoContent) // there are no more events
		}
	}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := sse.Client{
		URL:         server.URL,
		IdleTimeout: time.Minute,
		OnError:     func(err error, _ time.Duration) { fmt.Println("reconnecting after", err) },
	}
	for event, err := range client.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.ID, event.Data)
	}
	// Output:
	// 1 one
	// 2 two
	// reconnecting after EOF
	// 3 three
	// reconnecting after EOF
}

// A Persistent client waits for a server that restarts behind a proxy. OnError sees
// what it waits for.
func ExampleClient_persistent() {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch requests++; requests {
		case 1:
			w.Header().Set("Retry-After", "1") // in seconds: the client waits at least as long
			http.Error(w, "restarting", http.StatusServiceUnavailable)
		case 2:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "retry: 100\ndata: hello\n\n")
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer server.Close()

	client := sse.Client{
		URL:        server.URL,
		Retry:      100 * time.Millisecond,
		Persistent: true,
		OnError: func(err error, wait time.Duration) {
			var refused *sse.ResponseError
			if errors.As(err, &refused) {
				fmt.Printf("%d, reconnecting after a second or more: %v\n", refused.StatusCode, wait >= time.Second)
			}
		},
	}
	for event, err := range client.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Data)
	}
	// Output:
	// 503, reconnecting after a second or more: true
	// hello
}

// OnRequest adds a new token to each request. A response that is not an event
// stream is a ResponseError.
func ExampleResponseError() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who is "+r.Header.Get("Authorization")+"?", http.StatusUnauthorized)
	}))
	defer server.Close()

	client := sse.Client{
		URL: server.URL,
		OnRequest: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer fresh")
			return nil
		},
	}
	for _, err := range client.Events(context.Background()) {
		var refused *sse.ResponseError
		switch {
		case errors.As(err, &refused):
			fmt.Printf("%d: %s", refused.StatusCode, refused.Body)
		case err != nil:
			log.Fatal(err)
		}
	}
	// Output: 401: who is Bearer fresh?
}
