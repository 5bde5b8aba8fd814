package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/examples/internal/check"
	"example.org/sse/ssetest"
)

func TestStreams(t *testing.T) { check.Streams(t, routes) }

// A stream is its session's, although its handler has returned.
func TestSession(t *testing.T) {
	server := ssetest.NewServer(routes(new(sse.Set), app.Parrot))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: server.Client().Transport, Jar: jar}
	post := func(path string, form url.Values) {
		t.Helper()
		response, err := client.PostForm(server.URL+path, form)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	post("/login", url.Values{"user": {"ann"}})
	r, err := http.NewRequest(http.MethodGet, server.URL+"/mine", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	page := server.Do(t, r)
	if e := page.Next(); e.Data != "hello, ann" {
		t.Errorf("got %+v", e)
	}
	post("/tell", url.Values{"user": {"bob"}, "text": {"not hers"}})
	post("/tell", url.Values{"user": {"ann"}, "text": {"hers"}})
	if e := page.Next(); e.Data != "hers" {
		t.Errorf("got %+v", e)
	}
}
