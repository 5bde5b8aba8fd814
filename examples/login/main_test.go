package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.org/sse/ssetest"
)

// A browser is a client that keeps cookies.
type browser struct {
	t      *testing.T
	server *ssetest.Server
	client *http.Client
}

// login returns a browser in which a user is logged in.
func login(t *testing.T, server *ssetest.Server, user string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t, server, &http.Client{Transport: server.Client().Transport, Jar: jar}}
	b.post("/login", "user", user)
	return b
}

// post sends a form, given as pairs of name and value, and returns the answer.
func (b *browser) post(path string, fields ...string) string {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	response, err := b.client.PostForm(b.server.URL+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s, error %v", path, response.Status, err)
	}
	return string(text)
}

// get returns the request of a stream.
func (b *browser) get() *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.server.URL+"/events", http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// tab opens a stream.
func (b *browser) tab() *ssetest.Stream { return b.server.Do(b.t, b.get()) }

// reach sends pings to a user until each of their tabs has got one.
func (b *browser) reach(user string, tabs ...*ssetest.Stream) {
	b.t.Helper()
	for _, tab := range tabs {
		for len(tab.Events()) == 0 {
			b.post("/notify", "to", user, "text", "ping")
		}
	}
}

// status returns that of a request for a stream which is refused.
func (b *browser) status(r *http.Request) int {
	b.t.Helper()
	response, err := b.server.Client().Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// want reads an event, given as type|data, after pings.
func want(t *testing.T, tab *ssetest.Stream, event string) {
	t.Helper()
	e := tab.Next()
	for e.Data == "ping" {
		e = tab.Next()
	}
	if e.Type+"|"+e.Data != event {
		t.Fatalf("got %+v, want %s", e, event)
	}
}

// Every tab of a user gets what is sent to the user, until the user logs out anywhere.
func TestLogout(t *testing.T) {
	server := ssetest.NewServer(routes(time.Hour))
	defer server.Close()
	ann, phone, bob := login(t, server, "ann"), login(t, server, "ann"), login(t, server, "bob")
	tabs := []*ssetest.Stream{ann.tab(), ann.tab(), phone.tab()}
	his := bob.tab()
	bob.reach("ann", tabs...)
	bob.reach("bob", his)
	bob.post("/notify", "to", "ann", "text", "hello")
	for _, tab := range tabs {
		want(t, tab, "message|hello")
	}
	waiting := ann.tab() // the fourth
	want(t, waiting, "full|")
	phone.post("/logout")
	for _, tab := range tabs {
		want(t, tab, "logout|")
	}
	for _, b := range []*browser{ann, phone} {
		if got := b.status(b.get()); got != http.StatusUnauthorized {
			t.Errorf("after the logout: status %d, want %d", got, http.StatusUnauthorized)
		}
	}
	bob.post("/notify", "to", "bob", "text", "still here")
	want(t, his, "message|still here")
}

// A stream ends with its session.
func TestExpiry(t *testing.T) {
	server := ssetest.NewServer(routes(time.Second))
	defer server.Close()
	ann := login(t, server, "ann")
	want(t, ann.tab(), "logout|")
	if got := ann.status(ann.get()); got != http.StatusUnauthorized {
		t.Errorf("after the session: status %d, want %d", got, http.StatusUnauthorized)
	}
}

// A ticket opens one stream, which ends with the session.
func TestTicket(t *testing.T) {
	server := ssetest.NewServer(routes(time.Hour))
	defer server.Close()
	ann := login(t, server, "ann")
	unused := "/ticketed?ticket=" + ann.post("/ticket")
	path := "/ticketed?ticket=" + ann.post("/ticket")
	tab := server.Open(t, path)
	ann.reach("ann", tab)
	ann.post("/logout")
	want(t, tab, "logout|")
	for _, path := range []string{path, unused, "/ticketed"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if got := ann.status(r); got != http.StatusUnauthorized {
			t.Errorf("%.20s: status %d, want %d", path, got, http.StatusUnauthorized)
		}
	}
}

// A page of another site gets no stream, in whosever browser.
func TestOtherSite(t *testing.T) {
	server := ssetest.NewServer(routes(time.Hour))
	defer server.Close()
	ann := login(t, server, "ann")
	r := ann.get()
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := ann.status(r); got != http.StatusForbidden {
		t.Errorf("status %d, want %d", got, http.StatusForbidden)
	}
}

// The guide's code is that of the program.
func TestGuide(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	guide := read("../../docs/login.md")
	for _, tt := range []struct{ language, file string }{{"go", "main.go"}, {"html", "page.html"}} {
		code := read(tt.file)
		for _, block := range regexp.MustCompile("(?s)```"+tt.language+"\n(.*?)```").FindAllStringSubmatch(guide, -1) {
			if !strings.Contains(code, block[1]) {
				t.Errorf("not in %s:\n%s", tt.file, block[1])
			}
		}
	}
}
