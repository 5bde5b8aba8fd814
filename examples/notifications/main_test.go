package main

import (
	"net/url"
	"testing"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// Three tabs of one user have one list, and another user's tab has its own.
func TestTabs(t *testing.T) {
	server := ssetest.NewServer(routes())
	defer server.Close()
	post := func(path string, values url.Values) {
		t.Helper()
		response, err := server.Client().PostForm(server.URL+path, values)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	var tabs []*ssetest.Stream
	for range 3 {
		tab := server.Open(t, "/events?user=ann")
		want(t, tab, sse.Event{Type: "list", Data: "[]"})
		tabs = append(tabs, tab)
	}
	bob := server.Open(t, "/events?user=bob")
	want(t, bob, sse.Event{Type: "list", Data: "[]"})
	post("/notes?user=ann", url.Values{"text": {"hello"}})
	post("/notes?user=ann", url.Values{"text": {"again"}})
	post("/notes/1/read?user=ann", nil)
	post("/notes?user=bob", url.Values{"text": {"for bob"}})
	for _, tab := range tabs {
		want(t, tab, sse.Event{Type: "note", Data: `{"id":1,"text":"hello"}`})
		want(t, tab, sse.Event{Type: "note", Data: `{"id":2,"text":"again"}`})
		want(t, tab, sse.Event{Type: "read", Data: "1"})
	}
	want(t, server.Open(t, "/events?user=ann"), sse.Event{Type: "list", Data: `[{"id":2,"text":"again"}]`})
	want(t, bob, sse.Event{Type: "note", Data: `{"id":3,"text":"for bob"}`})
}

func want(t *testing.T, tab *ssetest.Stream, e sse.Event) {
	t.Helper()
	if got := tab.Next(); got.Type != e.Type || got.Data != e.Data {
		t.Fatalf("got %+v, want %+v", got, e)
	}
}
