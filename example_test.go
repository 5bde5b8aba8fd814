package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.org/sse"
)

// A Set is an http.Handler. It sends each event to every client that has opened its
// URL.
func Example() {
	var group sse.Set
	mux := http.NewServeMux()
	mux.Handle("GET /events", &group)
	server := httptest.NewServer(mux)
	defer server.Close()

	// In a page: new EventSource("/events").onmessage = e => console.log(e.data)
	page := open(server.URL + "/events")
	defer page.close()
	await(&group, 1)

	group.Dispatch("", "Hello, browsers!")
	page.print(1)
	// Output: message: Hello, browsers!
}

// Accept begins a stream that reports the progress of one request. A browser
// reconnects when a stream ends, so the page closes its EventSource at "done".
func ExampleAccept() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered the request
		}
		defer source.Close()

		for percent := 0; percent < 100; percent += 25 {
			if err := source.Dispatch("progress", strconv.Itoa(percent)); err != nil {
				return // the client has left
			}
		}
		if err := source.Dispatch("done", "100"); err != nil {
			log.Print(err)
		}
	}))
	defer server.Close()

	page := open(server.URL)
	defer page.close()
	page.print(5)
	// Output:
	// progress: 0
	// progress: 25
	// progress: 50
	// progress: 75
	// done: 100
}

// Dispatch sends each token of a language model as soon as it is generated. It waits
// for a client that is slower than the model, and fails when the client has left,
// so that the program need not generate the rest.
func ExampleEventSource_Dispatch() {
	generate := func(context.Context, string) iter.Seq[string] {
		return slices.Values([]string{"Because", " of", " Rayleigh", " scatter", "ing"})
	}

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prompt := r.FormValue("prompt") // a body must be read before Accept
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered the request
		}
		defer source.Close()

		for token := range generate(source.Context(), prompt) {
			if err := source.Dispatch("token", token); err != nil {
				return // the client has left
			}
		}
		if err := source.Dispatch("done", "stop"); err != nil {
			log.Print(err)
		}
	}))
	defer server.Close()

	page := open(server.URL + "?prompt=" + url.QueryEscape("Why is the sky blue?"))
	defer page.close()
	page.print(6)
	// Output:
	// token: Because
	// token:  of
	// token:  Rayleigh
	// token:  scatter
	// token: ing
	// done: stop
}

// A chat sends what one client says to all clients.
func ExampleSet() {
	var group sse.Set
	mux := http.NewServeMux()
	mux.Handle("GET /events", &group)
	mux.HandleFunc("POST /say", func(w http.ResponseWriter, r *http.Request) {
		group.Dispatch("chat", r.FormValue("text"))
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	anna := open(server.URL + "/events")
	defer anna.close()
	ben := open(server.URL + "/events")
	defer ben.close()
	await(&group, 2)

	response, err := http.PostForm(server.URL+"/say", url.Values{"text": {"Hi!"}})
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()

	anna.print(1)
	ben.print(1)
	// Output:
	// chat: Hi!
	// chat: Hi!
}

// Snapshot returns the current state for a new client, which then gets each change.
func ExampleSet_snapshot() {
	var degrees atomic.Int64
	group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
		return []sse.Event{{Type: "now", Data: strconv.FormatInt(degrees.Load(), 10)}}, nil
	}}
	server := httptest.NewServer(&group)
	defer server.Close()

	measured := func(value int64) {
		degrees.Store(value) // before the event, so that no new client gets an older state after it
		group.Dispatch("change", strconv.FormatInt(value, 10))
	}

	measured(19)
	measured(20)
	page := open(server.URL)
	defer page.close()
	page.print(1)

	measured(21)
	page.print(1)
	// Output:
	// now: 20
	// change: 21
}

// A client that reconnects gets the events that it missed. A browser asks for them
// with the header Last-Event-ID; the client in this example uses the URL.
func ExampleSet_resume() {
	var group sse.Set
	server := httptest.NewServer(&group)
	defer server.Close()

	page := open(server.URL)
	await(&group, 1)
	group.Dispatch("", "one")
	page.print(1)
	page.close()

	group.Dispatch("", "two")
	group.Dispatch("", "three")
	fmt.Println("reconnect")

	page = open(server.URL + "?lastEventId=" + page.lastEventID)
	defer page.close()
	page.print(2)
	group.Dispatch("", "four")
	page.print(1)
	// Output:
	// message: one
	// reconnect
	// message: two
	// message: three
	// message: four
}

// A Hub holds a Set for each room. A page names its rooms, and gets their events in
// one stream and one order.
func ExampleHub() {
	var hub sse.Hub
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) { hub.Add(source, r.URL.Query()["room"]...) })
	}))
	defer server.Close()

	page := open(server.URL + "?room=kitchen&room=garden")
	defer page.close()
	await(hub.Set("garden"), 1)

	hub.Set("garden").Dispatch("garden", "It rains.")
	hub.Set("kitchen").Dispatch("kitchen", "Tea?")
	hub.Set("cellar").Dispatch("cellar", "Nobody is here.")
	hub.Set("garden").Dispatch("garden", "Coming.")
	page.print(3)
	// Output:
	// garden: It rains.
	// kitchen: Tea?
	// garden: Coming.
}

// DispatchFunc sends each client its own view, or nothing.
func ExampleMap_DispatchFunc() {
	var languages sse.Map[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) { languages.Store(source, r.FormValue("lang")) })
	}))
	defer server.Close()

	german := open(server.URL + "?lang=de")
	defer german.close()
	french := open(server.URL + "?lang=fr")
	defer french.close()
	await(&languages, 2)

	greetings := map[string]string{"de": "Guten Tag", "en": "Good afternoon"}
	n, err := languages.DispatchFunc(func(_ *sse.EventSource, lang string) (sse.Event, bool) {
		greeting, ok := greetings[lang]
		return sse.Event{Data: greeting}, ok
	})
	fmt.Println("sent to", n, err)
	german.print(1)
	// Output:
	// sent to 1 <nil>
	// message: Guten Tag
}

// A page reads an event stream as a browser's EventSource does.
type page struct {
	response    *http.Response
	lines       *bufio.Scanner
	lastEventID string
}

// open opens the stream at a URL.
func open(url string) *page {
	response, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status)
	}
	return &page{response: response, lines: bufio.NewScanner(response.Body)}
}

// print waits for n events and prints them.
func (p *page) print(n int) {
	typ, data := "message", false
	for n > 0 {
		if !p.lines.Scan() {
			log.Fatalf("the stream ended with %d more events to come: %v", n, p.lines.Err())
		}
		switch field, value, _ := strings.Cut(p.lines.Text(), ": "); field {
		case "id":
			p.lastEventID = value
		case "event":
			typ = value
		case "data":
			fmt.Println(typ + ": " + value)
			data = true
		case "":
			if data {
				n--
			}
			typ, data = "message", false
		}
	}
}

func (p *page) close() { p.response.Body.Close() }

// await waits until a set has n members: a stream is open a moment before its
// handler has added it.
func await(set interface{ Len() int }, n int) {
	for set.Len() < n {
		time.Sleep(time.Millisecond) // until the handlers have added their sources
	}
}
