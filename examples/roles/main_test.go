package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"example.org/sse/ssetest"
)

// Each user gets what their role allows: from the beginning, live, and after a disconnect.
func TestRoles(t *testing.T) {
	server := ssetest.NewServer(routes())
	defer server.Close()
	send := func(user, dish, price string, want int) {
		t.Helper()
		form := url.Values{"user": {user}, "dish": {dish}, "price": {price}}
		response, err := server.Client().PostForm(server.URL+"/orders", form)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s of %q: got status %d, want %d", dish, user, response.StatusCode, want)
		}
	}
	send("ann", "soup", "7", http.StatusNoContent)
	send("", "soup", "7", http.StatusBadRequest)
	send("ann", "soup", "cheap", http.StatusBadRequest)
	viewers := []struct {
		user         string
		before, then []order // its reconnect
		stream       *ssetest.Stream
	}{
		{"olga", []order{{"ann", "soup", 7}, {"bob", "fish", 9}}, []order{{"ann", "cake", 5}, {"bob", "tea", 2}}, nil},
		{"carl", []order{{"", "soup", 0}, {"", "fish", 0}}, []order{{"", "cake", 0}, {"", "tea", 0}}, nil},
		{"ann", []order{{"ann", "soup", 7}}, []order{{"ann", "cake", 5}}, nil},
		{"bob", []order{{"bob", "fish", 9}}, []order{{"bob", "tea", 2}}, nil},
	}
	for i, v := range viewers {
		viewers[i].stream = server.Open(t, "/events?user="+v.user)
	}
	send("bob", "fish", "9", http.StatusNoContent)
	for _, v := range viewers {
		shown(t, v.user, v.stream, v.before)
		v.stream.Close()
	}
	send("ann", "cake", "5", http.StatusNoContent)
	send("bob", "tea", "2", http.StatusNoContent)
	for _, v := range viewers {
		v.stream.Reconnect()
		shown(t, v.user, v.stream, v.then)
	}
}

// shown checks that a stream's next events are these orders.
func shown(t *testing.T, user string, stream *ssetest.Stream, want []order) {
	t.Helper()
	for _, want := range want {
		var got order
		if err := json.Unmarshal([]byte(stream.Next().Data), &got); err != nil || got != want {
			t.Errorf("%s got %+v, error %v, want %+v", user, got, err, want)
		}
	}
}
