package ssetest_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// A test of a chat. In all examples t is the test's *testing.T.
func Example() {
	var group sse.Set
	mux := http.NewServeMux()
	mux.Handle("GET /events", &group)
	mux.HandleFunc("POST /say", func(_ http.ResponseWriter, r *http.Request) {
		group.Dispatch("chat", r.FormValue("text"))
	})

	server := ssetest.NewServer(mux)
	defer server.Close()
	anna := server.Open(t, "/events")
	ben := server.Open(t, "/events")
	ssetest.AwaitLen(t, &group, 2)

	response, err := server.Client().PostForm(server.URL+"/say", url.Values{"text": {"Hi!"}})
	if err != nil {
		log.Fatal(err)
	}
	response.Body.Close()

	fmt.Println(anna.Next().Data)
	fmt.Println(ben.Next().Data)
	// Output:
	// Hi!
	// Hi!
}

// Close ends all streams, each after what was dispatched before.
func ExampleServer_Close() {
	var group sse.Set
	server := ssetest.NewServer(&group)
	page := server.Open(t, "/")
	ssetest.AwaitLen(t, &group, 1)

	group.Dispatch("", "See you.")
	server.Close()

	fmt.Println(page.Next().Data)
	fmt.Println("the end:", page.End())
	// Output:
	// See you.
	// the end: <nil>
}

// A server in memory, over HTTP/2. It also works in a testing/synctest bubble.
func ExampleNewMemoryServer() {
	server := ssetest.NewMemoryServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer source.Close()
		for i := range 3 {
			source.Dispatch("", fmt.Sprint(i))
		}
	}))
	defer server.Close()
	server.HTTP2 = true

	stream := server.Open(t, "/")
	fmt.Println(stream.Response.Proto, stream.End())
	for _, e := range stream.Events() {
		fmt.Println(e.Data)
	}
	// Output:
	// HTTP/2.0 <nil>
	// 0
	// 1
	// 2
}

// A stream that answers a form.
func ExampleServer_Do() {
	server := ssetest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prompt := r.FormValue("prompt")
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer source.Close()
		for word := range strings.FieldsSeq(prompt) {
			source.Dispatch("token", word)
		}
	}))
	defer server.Close()

	form := url.Values{"prompt": {"Say it again."}}
	request := httptest.NewRequest("POST", "/", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := server.Do(t, request)
	fmt.Println(answer.Next().Data, answer.Next().Data, answer.Next().Data)
	// Output: Say it again.
}

// A client that reconnects receives the events that it missed.
func ExampleStream_Reconnect() {
	var group sse.Set
	server := ssetest.NewServer(&group)
	defer server.Close()

	page := server.Open(t, "/")
	ssetest.AwaitLen(t, &group, 1)
	group.Dispatch("", "one")
	fmt.Println(page.Next().Data)

	page.Close()
	group.Dispatch("", "two")
	group.Dispatch("", "three")

	page.Reconnect()
	fmt.Println(page.Next().Data)
	fmt.Println(page.Next().Data)
	// Output:
	// one
	// two
	// three
}

// A client that reads nothing. Other clients do not wait for it, and the server
// disconnects it.
func ExampleStream_Stall() {
	group := sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: 100 * time.Millisecond}}
	server := ssetest.NewMemoryServer(&group)
	defer server.Close()

	stalled, reading := server.Open(t, "/"), server.Open(t, "/")
	stalled.Stall()
	ssetest.AwaitLen(t, &group, 2)

	group.Dispatch("", strings.Repeat("x", 100_000))
	fmt.Println("read:", len(reading.Next().Data))

	ssetest.AwaitLen(t, &group, 1)
	fmt.Println("not read:", len(stalled.Events()))
	// Output:
	// read: 100000
	// not read: 0
}

// A client that reconnects by itself.
func ExampleRecord() {
	group := sse.Set{AcceptOptions: &sse.AcceptOptions{Retry: 100 * time.Millisecond}}
	server := ssetest.NewServer(&group)
	defer server.Close()

	client := sse.Client{URL: server.URL, HTTPClient: server.Client()}
	recorder := ssetest.Record(t, client.Events(t.Context()))
	ssetest.AwaitLen(t, &group, 1)
	group.Dispatch("", "one")
	group.CloseAll()
	group.Dispatch("", "two")

	fmt.Println(recorder.Next().Data)
	fmt.Println(recorder.Next().Data)
	// Output:
	// one
	// two
}
