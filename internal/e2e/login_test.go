package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"example.org/sse"
)

// startLogin runs the program examples/login, and returns its address.
func startLogin(t *testing.T, session time.Duration) (url string) {
	t.Helper()
	needChromium(t)
	program := filepath.Join(t.TempDir(), "login")
	if err := build("../../examples/login", program); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprint("localhost:", freePort(t))
	cmd := exec.Command(program, "-addr", addr, "-session", session.String())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, patience, func() string {
		response, err := http.Get("http://" + addr)
		if err != nil {
			return err.Error()
		}
		response.Body.Close()
		return ""
	})
	return "http://" + addr
}

// logIn logs a user in, in a tab of a browser profile of its own.
func logIn(t *testing.T, url, user string) *tab {
	t.Helper()
	b := open(t, url, chromedp.WithNewBrowserContext())
	b.expect("401")
	b.await(soon, "state.textContent === 'logged out'")
	b.do("document.forms[0].user.value = '" + user + "'; setTimeout(() => document.forms[0].submit())")
	b.await(soon, "window.state?.textContent === 'open'") // the page may not be there yet
	return b
}

// openBeside opens a page in another tab of a profile.
func openBeside(t *testing.T, b *tab, url string) *tab {
	t.Helper()
	return openIn(b.ctx, t, url)
}

// The example, in Chromium: three tabs, of which each gets what is sent to the user; a
// fourth, which waits for room; and a logout, which ends all of them, and nobody else's.
func TestLoginExample(t *testing.T) {
	url := startLogin(t, time.Hour)
	ann, bob := logIn(t, url, "ann"), logIn(t, url, "bob")
	tabs := []*tab{ann, openBeside(t, ann, url), openBeside(t, ann, url)}
	for _, b := range tabs {
		b.await(soon, "state.textContent === 'open'")
	}
	waiting := openBeside(t, ann, url)
	waiting.await(soon, "state.textContent === 'too many tabs: waiting'")
	notify := func(text string) {
		bob.do("fetch('/notify', {method: 'POST', body: new URLSearchParams({to: 'ann', text: '" + text + "'})})")
	}
	shows := func(b *tab, text string) {
		t.Helper()
		b.await(soon, "list.lastChild?.textContent === '"+text+"'")
	}
	notify("one")
	for _, b := range tabs {
		shows(b, "one")
	}
	if err := chromedp.Cancel(tabs[2].ctx); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	waiting.await(10*time.Second, "state.textContent === 'open'")
	t.Logf("the fourth tab was connected %v after another one was closed", time.Since(begin).Round(100*time.Millisecond))
	tabs[2] = waiting
	notify("two")
	for _, b := range tabs {
		shows(b, "two")
	}
	tabs[1].do("document.querySelector('button[onclick]').click()")
	for _, b := range tabs {
		b.await(soon, "state.textContent === 'logged out' && source.readyState === EventSource.CLOSED")
	}
	bob.await(0, "state.textContent === 'open'")
}

// The page stops when its session expires, and a ticket opens a stream once.
func TestLoginExpires(t *testing.T) {
	const session = 15 * time.Second // a busy machine needs some of it to log in
	url := startLogin(t, session)
	ann := logIn(t, url, "ann")
	ann.expect("401")
	ann.do(`window.streams = []
	fetch('/ticket', {method: 'POST'}).then(r => r.text()).then(ticket => {
		const one = new EventSource('/ticketed?ticket=' + ticket)
		one.onopen = () => {
			one.onopen = null
			const two = new EventSource('/ticketed?ticket=' + ticket)
			two.onerror = () => { window.streams = [one, two] }
		}
	})`)
	ann.await(soon, "streams.map(s => s.readyState).join() === '1,2'") // open, closed
	ann.await(session+soon, "state.textContent === 'logged out' && source.readyState === EventSource.CLOSED")
}

// A page of another origin gets a stream that belongs to a login only from a server
// that trusts its origin, and sends cookies only if it asks for that.
func TestCrossOriginPage(t *testing.T) {
	needChromium(t)
	protection := http.NewCrossOriginProtection()
	var group sse.Set
	group.AcceptOptions = &sse.AcceptOptions{CrossOrigin: protection}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		sse.Serve(w, r, group.AcceptOptions, func(source *sse.EventSource) {
			cookie, err := r.Cookie("session")
			if err != nil {
				cookie = new(http.Cookie)
			}
			source.Dispatch("session", cookie.Value)
			group.Add(source)
		})
	}))
	defer api.Close()
	defer group.CloseAll()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "ann"}) // localhost's, whatever the port
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><link rel=icon href=data:,>"))
	}))
	defer page.Close()
	local := func(s *httptest.Server) string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }
	b := open(t, local(page), chromedp.WithNewBrowserContext())
	b.expect("403")
	connect := func(credentials bool) {
		b.do(fmt.Sprintf(`window.got = ''
		const source = new EventSource('%s', {withCredentials: %v})
		source.addEventListener('session', e => { got = 'session ' + e.data; source.close() })
		source.onerror = () => { got = 'state ' + source.readyState }`, local(api), credentials))
	}
	connect(true)
	b.await(soon, "got === 'state 2'")
	if n := group.Len(); n != 0 {
		t.Errorf("%d streams, want 0", n)
	}
	if err := protection.AddTrustedOrigin(local(page)); err != nil {
		t.Fatal(err)
	}
	connect(false)
	b.await(soon, "got === 'session '")
	connect(true)
	b.await(soon, "got === 'session ann'")
}

// A page stops at the last event of its stream, in each of the three scripts, and does
// not connect again.
func TestClosingEvent(t *testing.T) {
	const htmx2 = `<script src=/demo/htmx.org/dist/htmx.min.js></script>
<script src=/demo/htmx-ext-sse/dist/sse.min.js></script>
<div hx-ext=sse sse-connect=/events sse-swap=message sse-close=logout hx-target=#list hx-swap=beforeend></div>`
	const browser = `<script>
const source = new EventSource('/events')
source.onmessage = e => list.insertAdjacentHTML('beforeend', e.data)
source.addEventListener('logout', () => source.close())
</script>`
	for _, test := range []struct{ name, page string }{
		{"EventSource", browser},
		{"htmx 2", htmx2},
		{"htmx 4", strings.Replace(htmx4Page, "<div ", "<div hx-sse:close=logout ", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			needChromium(t)
			needPackages(t)
			group := sse.Set{AcceptOptions: &sse.AcceptOptions{Retry: 100 * time.Millisecond}}
			var visits atomic.Int32
			mux := http.NewServeMux()
			mux.Handle("/", pagesOf(test.page, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				visits.Add(1)
				group.ServeHTTP(w, r)
			})))
			mux.Handle("/demo/", http.StripPrefix("/demo", http.FileServer(http.Dir("../../demo/node_modules"))))
			server := httptest.NewServer(mux)
			defer server.Close()
			b := open(t, server.URL)
			b.expect("[object Event]") // htmx 2 logs that its stream was closed
			awaitMember(t, &group)
			group.DispatchEvent(item("last"))
			if err := group.CloseAllWith(t.Context(), sse.Event{Type: "logout"}); err != nil {
				t.Fatal(err)
			}
			b.await(soon, "list.textContent.trim() === 'last'")
			time.Sleep(3 * time.Second) // for what must not happen
			if got := visits.Load(); got != 1 {
				t.Errorf("it has connected %d times, want 1", got)
			}
		})
	}
}
