package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/browser"
)

// modulePage opens a stream with the module, and writes down what it is told: an event as its
// type and data, the opening of the stream as "open", an error as its status.
const modulePage = `import { EventSource } from '/eventsource.js'
const query = new URLSearchParams(location.search)
window.log = []
window.source = new EventSource(query.get('events') ?? '/events', { heartbeat: Number(query.get('heartbeat') ?? 30000), withCredentials: query.has('events') })
source.onopen = () => log.push('open')
source.onmessage = e => { log.push(e.data); window.lastEventId = e.lastEventId }
source.onerror = e => log.push('error ' + e.status)`

// moduleSite serves a page, whose policy forbids scripts of others, and its stream.
func moduleSite(events http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "script-src 'self'")
		fmt.Fprint(w, `<!doctype html><link rel=icon href=data:,><title>Module</title><script type=module src=/page.js></script>`)
	})
	mux.HandleFunc("GET /page.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, modulePage)
	})
	mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><link rel=icon href=data:,><title>Elsewhere</title>`)
	})
	mux.Handle("GET /eventsource.js", browser.Handler())
	mux.Handle("GET /events", events)
	return mux
}

// overBrowsers runs a test in Chromium and in Firefox. Their pages are opened by open.
func overBrowsers(t *testing.T, test func(t *testing.T, open func(t *testing.T, url string) *tab)) {
	t.Run("Chromium", func(t *testing.T) {
		needChromium(t)
		test(t, func(t *testing.T, url string) *tab {
			b := open(t, url)
			b.expect("503", "ERR_") // a browser logs each failed request
			return b
		})
	})
	t.Run("Firefox", func(t *testing.T) { test(t, needFirefox(t).open) })
}

// overAll runs a test in each browser.
func overAll(t *testing.T, test func(t *testing.T, open func(t *testing.T, url string) *tab)) {
	overBrowsers(t, test)
	t.Run("WebKit", func(t *testing.T) { test(t, needWebKit(t).open) })
}

// overOthers runs a test in each browser but Chromium.
func overOthers(t *testing.T, test func(t *testing.T, open func(t *testing.T, url string) *tab)) {
	t.Run("Firefox", func(t *testing.T) { test(t, needFirefox(t).open) })
	t.Run("WebKit", func(t *testing.T) { test(t, needWebKit(t).open) })
}

// logs waits until the page has been told something, and nothing else.
func (b *tab) logs(limit time.Duration, want string) {
	b.t.Helper()
	eventually(b.t, limit, func() string {
		if got := eval[string](b, "(window.log ?? []).join()"); got != want {
			return fmt.Sprintf("%s: got %q, want %q", b.name, got, want)
		}
		return ""
	})
}

// A page resumes after the last event of any type, also of one that it does not listen for.
// After a status that ends the browser's own EventSource it tries again, not before the
// server's Retry-After, and a 204 is the end.
func TestModuleReconnects(t *testing.T) {
	overAll(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		var status atomic.Int64
		status.Store(http.StatusOK)
		refused := make(chan time.Time, 100)
		group := sse.Set{History: 2, AcceptOptions: strict}
		site := startRestartable(t, moduleSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s := int(status.Load()); s != http.StatusOK {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(s)
				refused <- time.Now()
				return
			}
			group.ServeHTTP(w, r)
		})), false)
		b := open(t, "http://"+site.addr+"/")
		awaitMember(t, &group)
		group.Dispatch("", "first")
		for range 10 { // more than are kept
			group.Dispatch("other", "x")
		}
		b.logs(soon, "open,first")
		status.Store(http.StatusServiceUnavailable)
		group.CloseAll()
		b.logs(soon, "open,first,error 200,error 503")
		group.Dispatch("", "missed")
		begin := <-refused
		if again := (<-refused).Sub(begin); again < 3*time.Second {
			t.Errorf("it tried again after %v, want 3 s at least", again)
		}
		status.Store(http.StatusOK)
		b.logs(15*time.Second, "open,first,error 200,error 503,error 503,open,missed")
		status.Store(http.StatusNoContent)
		group.CloseAll()
		b.logs(soon, "open,first,error 200,error 503,error 503,open,missed,error 200,error 204")
		b.await(0, "source.readyState === 2")
	})
}

// A page that was left has no stream, even if the browser keeps it, and has one again when the
// user is back. It gets what it missed.
func TestModuleWayBack(t *testing.T) {
	overBrowsers(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		var group sse.Set
		url := "http://" + startRestartable(t, moduleSite(&group), false).addr
		b := open(t, url+"/")
		awaitMember(t, &group)
		group.Dispatch("", "1")
		b.logs(soon, "open,1")
		b.visit(url + "/elsewhere")
		eventually(t, soon, func() string {
			if n := group.Len(); n > 0 {
				return fmt.Sprintf("%d streams, want none", n)
			}
			return ""
		})
		group.Dispatch("", "2")
		b.do("setTimeout(() => history.back())")
		b.await(soon, "document.title === 'Module'")
		want := []string{"open,1,open,2"}
		if b.driven != nil {
			want = append(want, "open") // Firefox loads the page again: it keeps none that has a request
		}
		eventually(t, soon, func() string {
			if got := eval[string](b, "(window.log ?? []).join()"); !slices.Contains(want, got) {
				return fmt.Sprintf("%s: got %q, want one of %q", b.name, got, want)
			}
			return ""
		})
	})
}

// Several tabs have the same URL's stream at once: Firefox holds a request for a URL back
// while another one is read, if that can be cached. After a restart all of them have it again.
func TestModuleInTabs(t *testing.T) {
	overAll(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		group := sse.Set{AcceptOptions: strict}
		site := startRestartable(t, moduleSite(&group), false)
		var tabs []*tab
		for range 3 {
			b := open(t, "http://"+site.addr+"/")
			b.logs(soon, "open")
			tabs = append(tabs, b)
		}
		begin := time.Now()
		group.Dispatch("", "1")
		for _, b := range tabs {
			b.logs(soon, "open,1")
		}
		t.Logf("3 tabs have an event after %v", time.Since(begin).Round(time.Millisecond))
		site.shutdown()
		group.Dispatch("", "2")
		for _, b := range tabs {
			b.await(soon, "log.includes('error 0')") // the connection was refused
		}
		site.start()
		for _, b := range tabs {
			b.await(15*time.Second, "log.filter(text => text === '2').length === 1 && log.at(-1) === '2'")
		}
	})
}

// htmx 2 makes its streams with the module, in front of whose tag or behind it htmx may be.
func TestModuleWithHTMX(t *testing.T) {
	needChromium(t)
	const module, scripts = `<script type=module src=/eventsource.js></script>`,
		`<script %[1]s src="/scripts/htmx.org/dist/htmx.min.js"></script><script %[1]s src="/scripts/htmx-ext-sse/dist/sse.min.js"></script>`
	for _, tt := range []struct{ name, head string }{
		{"htmx first", fmt.Sprintf(scripts, "") + module},
		{"deferred", module + fmt.Sprintf(scripts, "defer")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			group := sse.Set{AcceptOptions: strict}
			var refuse atomic.Bool
			mux := http.NewServeMux()
			mux.Handle("GET /scripts/", http.StripPrefix("/scripts/", http.FileServer(http.Dir(demoFolder+"/node_modules"))))
			mux.HandleFunc("GET /htmx", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, `<!doctype html><link rel=icon href=data:,>`+tt.head+`<body hx-ext=sse sse-connect=/events sse-swap=message hx-swap=beforeend>`)
			})
			mux.Handle("/", moduleSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if refuse.Swap(false) {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				group.ServeHTTP(w, r)
			})))
			url := "http://" + startRestartable(t, mux, false).addr
			b := open(t, url+"/htmx")
			b.expect("503", "[object Event]")
			b.do("window.native = String(EventSource).includes('[native code]')")
			awaitMember(t, &group)
			group.Dispatch("", "one ")
			b.await(soon, "document.body.innerText.includes('one')")
			refuse.Store(true)
			group.CloseAll()
			group.Dispatch("", "two ") // lost, if htmx made another stream itself
			b.await(15*time.Second, "document.body.innerText.trim().replace(/\\s+/g, ' ') === 'one two'")
			if !strings.HasPrefix(eval[string](b, "String(native) + ' ' + document.body.innerText"), "true") {
				t.Error("the global EventSource is not the browser's")
			}
		})
	}
}

// A page of another origin gets a stream, with its cookies, and resumes, all without a preflight.
func TestModuleCrossOrigin(t *testing.T) {
	overAll(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		group := sse.Set{AcceptOptions: strict}
		requests := make(chan string, 100)
		other := startRestartable(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookie, _ := r.Cookie("user")
			requests <- fmt.Sprintf("%s %s %v", r.Method, r.URL.Query().Get("lastEventId"), cookie)
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			w.Header().Set("Access-Control-Allow-Credentials", "true")
			w.Header().Set("Set-Cookie", "user=ann; Path=/")
			group.ServeHTTP(w, r)
		}), false)
		site := startRestartable(t, moduleSite(http.NotFoundHandler()), false)
		b := open(t, "http://"+site.addr+"/?events=http://"+other.addr+"/")
		awaitMember(t, &group)
		group.DispatchEvent(sse.Event{Data: "one"})
		b.logs(soon, "open,one")
		id := eval[string](b, "lastEventId")
		group.CloseAll()
		awaitMember(t, &group)
		group.Dispatch("", "two")
		b.logs(soon, "open,one,error 200,open,two")
		for i, want := range []string{"GET  ", "GET " + id + " user=ann"} {
			if got := <-requests; !strings.HasPrefix(got, want) {
				t.Errorf("request %d: got %q, want %q", i, got, want)
			}
		}
		if len(requests) > 0 {
			t.Errorf("got another request: %s", <-requests)
		}
	})
}
