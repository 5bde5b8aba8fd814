package main

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// A visitor is a browser, which keeps cookies.
type visitor struct {
	t      *testing.T
	server *ssetest.Server
	client *http.Client
}

// login returns a browser in which a user is logged in.
func login(t *testing.T, server *ssetest.Server, user string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &visitor{t, server, &http.Client{Transport: server.Client().Transport, Jar: jar}}
	b.post("/login", url.Values{"user": {user}})
	return b
}

func (b *visitor) post(path string, form url.Values) {
	b.t.Helper()
	response, err := b.client.PostForm(b.server.URL+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: got status %d, want 200", path, response.StatusCode)
	}
}

// request returns the request for a stream.
func (b *visitor) request() *http.Request {
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

// tab opens a stream, which begins with the notes of these texts, and returns their ids.
func (b *visitor) tab(texts ...string) (tab *ssetest.Stream, ids []string) {
	b.t.Helper()
	tab = b.server.Do(b.t, b.request())
	e := tab.Next()
	var notes []note
	if err := json.Unmarshal([]byte(e.Data), &notes); e.Type != "list" || err != nil || len(notes) != len(texts) {
		b.t.Fatalf("got %+v, error %v, want a list of %q", e, err, texts)
	}
	for i, n := range notes {
		if n.Text != texts[i] {
			b.t.Errorf("got note %+v, want text %q", n, texts[i])
		}
		ids = append(ids, n.ID)
	}
	return tab, ids
}

// next returns the next event, which has this type.
func next(t *testing.T, tab *ssetest.Stream, typ string) sse.Event {
	t.Helper()
	e := tab.Next()
	if e.Type != typ {
		t.Fatalf("got %+v, want type %q", e, typ)
	}
	return e
}

// noted reads a note of this text.
func noted(t *testing.T, tab *ssetest.Stream, text string) {
	t.Helper()
	e := next(t, tab, "note")
	var n note
	if err := json.Unmarshal([]byte(e.Data), &n); err != nil || n.Text != text {
		t.Errorf("got %+v, error %v, want %q", e, err, text)
	}
}

// All tabs of a user have one list, in two browsers, until the user logs out; another user has
// another list.
func TestTabs(t *testing.T) {
	server := ssetest.NewServer(routes())
	defer server.Close()
	ann, phone, bob := login(t, server, "ann"), login(t, server, "ann"), login(t, server, "bob")
	var tabs []*ssetest.Stream
	for _, b := range []*visitor{ann, ann, phone} {
		tab, _ := b.tab()
		tabs = append(tabs, tab)
	}
	his, _ := bob.tab()
	bob.post("/notes", url.Values{"to": {"ann"}, "text": {"hello"}})
	bob.post("/notes", url.Values{"to": {"ann"}, "text": {"again"}})
	_, ids := ann.tab("hello", "again")
	bob.post("/notes/"+ids[0]+"/read", nil) // which is not his
	ann.tab("hello", "again")
	phone.post("/notes/"+ids[0]+"/read", nil)
	for _, tab := range tabs {
		noted(t, tab, "hello")
		noted(t, tab, "again")
		if e := next(t, tab, "read"); e.Data != ids[0] {
			t.Errorf("got %+v, want id %s", e, ids[0])
		}
	}
	ann.post("/logout", nil)
	for _, tab := range tabs {
		if err := tab.End(); err != nil {
			t.Errorf("after the logout: the stream ended with %v", err)
		}
	}
	response, err := server.Client().Do(ann.request())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: got status %d, want 401", response.StatusCode)
	}
	phone.tab("again") // has another session
	bob.post("/notes", url.Values{"to": {"bob"}, "text": {"for bob"}})
	if e := next(t, his, "read"); e.Data != ids[0] {
		t.Errorf("got %+v, want the id that bob has sent", e)
	}
	noted(t, his, "for bob")
}
