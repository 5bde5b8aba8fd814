package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.org/sse/ssetest"
)

// A page has the list at once, and each change; the text of an item cannot become HTML.
func TestTodo(t *testing.T) {
	server := ssetest.NewServer(routes(t.TempDir()))
	defer server.Close()
	do := func(method, path, text string) {
		t.Helper()
		r, err := http.NewRequest(method, server.URL+path+"?"+url.Values{"text": {text}}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			t.Fatalf("%s %s: got %s", method, path, response.Status)
		}
	}
	do(http.MethodPost, "/items", "one")
	page := server.Open(t, "/events")
	want := func(parts ...string) {
		t.Helper()
		data := page.Next().Data
		if n := strings.Count(data, "<li"); n != len(parts) {
			t.Errorf("got %d items, want %d: %q", n, len(parts), data)
		}
		for _, part := range parts {
			if !strings.Contains(data, part) {
				t.Errorf("got %q, want %q in it", data, part)
			}
		}
	}
	want("one")
	do(http.MethodPost, "/items", "<b>\ntwo")
	want("one", "&lt;b&gt;\ntwo")
	do(http.MethodDelete, "/items/1", "")
	want("two")
}
