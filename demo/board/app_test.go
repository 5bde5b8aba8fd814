package board

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.org/sse/locks"
)

// serve starts the demo with an empty board, and returns its URL.
func serve(t *testing.T) (*App, string) {
	t.Helper()
	a := newApp(newStore(t), nil, "")
	return a, serveApp(t, a)
}

// serveApp starts an App on a server of its own, and returns its URL.
func serveApp(t *testing.T, a *App) string {
	t.Helper()
	srv := httptest.NewServer(a.handler())
	stop := a.start(t.Context())
	t.Cleanup(func() {
		// httptest's Close waits for streams; Shutdown ends them.
		srv.Config.Shutdown(context.Background()) //nolint:usetesting // the test's context is done by now
		srv.Close()
		stop()
	})
	return srv.URL
}

func send(t *testing.T, url string, form url.Values, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("POST", url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// tokenOf returns the token of a page of the visitor with a cookie.
func tokenOf(a *App, cookie string) string {
	token, _ := a.people.Token(newVisitor(cookie).id)
	return token
}

// fenceIn returns the fence of a lock.
func fenceIn(t *testing.T, body string) string {
	t.Helper()
	var l locks.Lock[int64]
	if err := json.Unmarshal([]byte(body), &l); err != nil || l.Fence == 0 {
		t.Fatalf("%s: %v, want a lock with a fence", body, err)
	}
	return fmt.Sprint(l.Fence)
}

func TestRoundTrip(t *testing.T) {
	a, base := serve(t)
	token := tokenOf(a, "a")
	byName := listen(t, base+"/events?page="+token, "a")
	partial := listen(t, base+"/events/htmx4?page="+tokenOf(a, "b"), "b")
	byName.until("board", "Nothing here.")
	byName.until("people", "Here now", `class="count">2<`)
	byName.until("clock", "Asia/Kolkata")
	byName.until("machine", "<svg", "Streams")
	partial.until("", `<hx-partial hx-target="#people">`, `class="count">2<`)
	partial.until("", `<hx-partial hx-target="#machine">`, "<svg")

	if status, body := send(t, base+"/cards/add", url.Values{"text": {"a <b>\r\nb"}}); status != 204 || body != "" {
		t.Fatalf("add: %d %s", status, body)
	}
	want := "<b>a &lt;b&gt;</b>\nb</div>"
	byName.until("board", want, "card changed")
	partial.until("", `<hx-partial hx-target="#board">`, want)

	var fence string
	for _, step := range []struct{ path, form, region, want string }{
		{"lock", "action=take", "locks", "is editing"},
		{"edit", "revision=1&text=edited", "board", "<b>edited</b>"},
		{"lock", "action=release", "locks", ""},
		{"move", "to=done/0", "board", `aria-checked="true"`},
		{"delete", "", "board", "Nothing here."},
	} {
		form, _ := url.ParseQuery(step.form)
		form.Set("id", "7") // the first six cards are those of a new board
		form.Set("fence", fence)
		status, body := send(t, base+"/cards/"+step.path, form, "Page-Token", token, "Cookie", "visitor=a")
		if status >= 300 {
			t.Fatalf("%s: %d %s", step.path, status, body)
		}
		if step.form == "action=take" {
			fence = fenceIn(t, body)
		}
		byName.until(step.region, step.want)
		partial.until("", `"#`+step.region+`"`, step.want)
	}
}

// Boards are sent in the order in which they were committed: each has more cards
// than the one before.
func TestOrder(t *testing.T) {
	_, base := serve(t)
	r := listen(t, base+"/events", "a")
	r.until("board", "Nothing here.")
	const n = 40
	var adding sync.WaitGroup
	for i := range 4 {
		adding.Go(func() {
			for range n / 4 {
				resp, err := http.PostForm(base+"/cards/add", url.Values{"text": {fmt.Sprint("by ", i)}})
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			}
		})
	}
	for before := 0; before < n; {
		now := strings.Count(r.until("board"), "<article")
		if now <= before {
			t.Fatalf("got a board of %d cards after one of %d, want more", now, before)
		}
		before = now
	}
	adding.Wait()
}

func TestMistakes(t *testing.T) {
	_, base := serve(t)
	for _, tt := range []struct {
		path, form string
		status     int
		says       string
	}{
		{"add", "text=+", 422, "needs some text"},
		{"add", "text=" + strings.Repeat("x", maxText+1), 422, "10 KB"},
		{"add", "text=" + strings.Repeat("x", maxForm), 422, "10 KB"},
		{"add", "text=%zz", 400, "cannot be read"},
		{"edit", "id=4711&text=x", 403, "page token"},
		{"lock", "id=1&action=take", 403, `"error":"token"`},
		{"move", "id=4711&to=done/0", 404, "no longer exists"},
		{"move", "id=1&to=attic/0", 422, "no such column"},
		{"delete", "id=many", 404, "no longer exists"},
	} {
		resp, err := http.Post(base+"/cards/"+tt.path, "application/x-www-form-urlencoded", strings.NewReader(tt.form))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.says) {
			t.Errorf("%s %.30s: got %d %s, want %d with %q", tt.path, tt.form, resp.StatusCode, body, tt.status, tt.says)
		}
	}
}

func TestPostFromAnotherSite(t *testing.T) {
	a, base := serve(t)
	status, _ := send(t, base+"/cards/add", url.Values{"text": {"spam"}}, "Sec-Fetch-Site", "cross-site")
	if status != http.StatusForbidden {
		t.Errorf("got status %d, want %d", status, http.StatusForbidden)
	}
	if cards := cardsOf(t, a.store); len(cards) > 0 {
		t.Errorf("got cards %v, want none", cards)
	}
}

// A browser is one of the people, and leaves when its last page says goodbye.
func TestPeople(t *testing.T) {
	a, base := serve(t)
	first := listen(t, base+"/events?page="+tokenOf(a, "a"), "a")
	second := listen(t, base+"/events/htmx4?page="+tokenOf(a, "a"), "a")
	second.until("", `"#people"`, `class="count">1<`, ">you<")
	first.until("people", `class="count">1<`)
	token := tokenOf(a, "b")
	third := listen(t, base+"/events?page="+token, "b")
	first.until("people", `class="count">2<`, "has joined")
	third.until("people", `class="count">2<`)
	listen(t, base+"/events", "c").until("people", `class="count">2<`) // watches, and is not counted
	if status, _ := send(t, base+"/page.js?state=gone&page="+token, nil, "Cookie", "visitor=b"); status != 204 {
		t.Errorf("goodbye: got status %d, want 204", status)
	}
	first.until("people", `class="count">1<`, "has left")
}

// A page's token is valid for its visitor only.
func TestForeignPage(t *testing.T) {
	a, base := serve(t)
	for _, path := range []string{"/events?page=", "/cards/lock?action=take&id=1&page=", "/cards/edit?id=1&fence=1&page=", "/page.js?state=gone&page="} {
		url := base + path + tokenOf(a, "a")
		method := "POST"
		if strings.HasPrefix(path, "/events") {
			method = "GET"
		}
		req, _ := http.NewRequest(method, url, nil)
		req.AddCookie(&http.Cookie{Name: "visitor", Value: "b"})
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got status %s, want %d", path, resp.Status, http.StatusForbidden)
		}
	}
}

func TestPages(t *testing.T) {
	_, base := serve(t)
	for _, page := range []string{"/htmx4", "/htmx2", "/eventsource"} {
		resp, err := http.Get(base + page)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(body), "Nothing here.") || !strings.HasSuffix(string(body), "</html>\n") {
			t.Errorf("%s: got %d %s, want a whole page", page, resp.StatusCode, body)
		}
		if c := resp.Header.Get("Set-Cookie"); !strings.Contains(c, "visitor=") || !strings.Contains(c, "HttpOnly") {
			t.Errorf("%s: got cookie %q, want an HttpOnly visitor", page, c)
		}
	}
}

func TestMissingScripts(t *testing.T) {
	dir := t.TempDir()
	err := checkScripts(dir)
	if err == nil || !strings.Contains(err.Error(), "npm ci") || !strings.Contains(err.Error(), filepath.Join(dir, "htmx4")) {
		t.Errorf("got error %v, want one with the path and npm ci", err)
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "board.db"), dir); err == nil {
		t.Error("Open without scripts: got no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "board.db")); err == nil {
		t.Error("Open without scripts has created a board")
	}
}
