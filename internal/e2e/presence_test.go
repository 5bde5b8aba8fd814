package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"example.org/sse"
	"example.org/sse/presence"
)

// A house is a server with a page for each way to open a stream, and nothing else.
type house struct {
	t       *testing.T
	addr    string
	tracker *presence.Tracker
	open    func(t *testing.T, url string) *tab // in the browser
	page    string                              // instead of housePage, if not empty
	repeat  bool                                // render the last token once more
	token   string                              // that was rendered last
	group   sse.Set
	server  *http.Server
	served  chan error

	mu      sync.Mutex
	session presence.Session // of the page that was rendered last
	opened  []string         // the URLs of streams
}

const (
	housePage = `<!doctype html><html><head><link rel=icon href=data:><title>House</title>
<script type=module src="/page.js" data-page="%[1]s" data-renew="0.5"></script>%[2]s</body></html>`
	houseNative = `<script type=module>
	import { connect } from '/page.js'
	const source = connect('/events')
	source.onmessage = e => out.textContent += e.data
	source.onopen = () => document.body.dataset.stream = 'open'
	source.onerror = () => document.body.dataset.stream = 'lost'
	</script></head><body><p id=out></p>`
	houseHtmx2 = `<script src="/scripts/htmx.org/dist/htmx.min.js"></script><script src="/scripts/htmx-ext-sse/dist/sse.min.js"></script>
</head><body hx-ext="sse" sse-connect="/events?page=%[1]s" hx-on::sse-open="this.dataset.stream = 'open'" hx-on::sse-error="this.dataset.stream = 'lost'">
<p id=out sse-swap="message" hx-swap="beforeend"></p>`
	houseHtmx4 = `<script src="/scripts/htmx4/dist/htmx.min.js"></script><script src="/scripts/htmx4/dist/ext/hx-sse.min.js"></script>
</head><body hx-sse:connect="/events?page=%[1]s" hx-target="#out" hx-swap="beforeend" hx-on::sse:after:connection="this.dataset.stream = 'open'" hx-on::sse:before:connection="this.dataset.stream = 'lost'">
<p id=out></p>`
)

var housePages = map[string]string{"/native": houseNative, "/htmx2": houseHtmx2, "/htmx4": houseHtmx4, "/boost2": houseBoost2, "/boost4": houseBoost4}

// openHouse starts the server, for pages in Chromium.
func openHouse(t *testing.T) *house {
	t.Helper()
	needChromium(t)
	h := newHouse(t)
	h.open = func(t *testing.T, url string) *tab { return open(t, url) }
	return h
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, tracker: &presence.Tracker{Key: []byte("kept over restarts"), Grace: time.Second}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.serve(l)
	t.Cleanup(h.stop)
	return h
}

func (h *house) serve(l net.Listener) {
	mux := http.NewServeMux()
	for path, body := range housePages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h.mu.Lock()
			if !h.repeat {
				h.token, h.session = h.tracker.Token("ann")
			}
			h.repeat = false
			token := h.token
			h.mu.Unlock()
			w.Header().Set("Content-Type", "text/html")
			page := housePage
			if h.page != "" {
				page = h.page
			}
			fmt.Fprintf(w, page, token, fmt.Sprintf(body, token))
		})
	}
	mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><link rel=icon href=data:><title>Elsewhere</title>`)
	})
	mux.Handle("/page.js", h.tracker)
	mux.Handle("GET /scripts/", http.StripPrefix("/scripts/", http.FileServer(http.Dir(filepath.Join(demoFolder, "node_modules")))))
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		session, err := h.tracker.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			h.mu.Lock()
			h.opened = append(h.opened, r.URL.String()+" "+r.Header.Get("Last-Event-ID"))
			h.mu.Unlock()
			h.tracker.Connect(source, session, "house")
			h.group.Add(source)
		})
	})
	h.server = &http.Server{Handler: mux}
	h.served = make(chan error, 1)
	go func() { h.served <- h.server.Serve(l) }()
}

func (h *house) stop() {
	h.server.Shutdown(context.Background())
	h.server.Close()
	<-h.served
}

// start listens again.
func (h *house) start() {
	h.t.Helper()
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.serve(l)
}

func (h *house) url(path string) string { return "http://" + h.addr + path }

// visit opens a page, and waits until its session is present.
func (h *house) visit(path string) (*tab, presence.Session) {
	h.t.Helper()
	b := h.open(h.t, h.url(path))
	b.await(soon, "document.body.dataset.stream === 'open'")
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.tracker.Present(h.session) {
		h.t.Fatal("not present")
	}
	return b, h.session
}

// awaitPresent waits until a session is present, or is no more, and returns how long
// that took since it began.
func (h *house) awaitPresent(s presence.Session, want bool, begin time.Time, limit time.Duration) time.Duration {
	h.t.Helper()
	eventually(h.t, limit, func() string {
		if h.tracker.Present(s) != want {
			return fmt.Sprintf("present is %v", !want)
		}
		return ""
	})
	return time.Since(begin).Round(time.Millisecond)
}

// streams complains about streams that are open.
func (h *house) streams() string {
	if n := h.group.Len(); n > 0 {
		return fmt.Sprintf("%d streams are open, want 0", n)
	}
	return ""
}

func (h *house) connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.opened)
}

// overPages runs a test with each page.
func overPages(t *testing.T, test func(t *testing.T, h *house, page string)) {
	for _, page := range []string{"/native", "/htmx2", "/htmx4"} {
		t.Run(strings.TrimPrefix(page, "/"), func(t *testing.T) { test(t, openHouse(t), page) })
	}
}

// A page says goodbye when its tab is closed. Without it, its session would stay for
// the grace.
func TestPresenceClose(t *testing.T) {
	overPages(t, func(t *testing.T, h *house, page string) {
		h.tracker.Grace = time.Hour
		b, session := h.visit(page)
		begin := time.Now()
		if err := chromedp.Cancel(b.ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: tab closed: gone after %v", page, h.awaitPresent(session, false, begin, time.Second))
	})
}

// A page's session ends when the user navigates away, and is present again after the
// way back. No event is lost or repeated.
func TestPresenceWayBack(t *testing.T) {
	overPages(t, func(t *testing.T, h *house, page string) {
		h.tracker.Grace = time.Hour // the page says goodbye
		for range 5 {
			if h.wayBack(t, page) {
				return
			}
		}
		t.Error("Chromium has kept the page none of five times")
	})
}

// wayBack leaves a page and goes back to it, three times. It reports false if Chromium has
// not kept the page, which is its own decision, on a busy machine above all.
func (h *house) wayBack(t *testing.T, page string) (kept bool) {
	before := h.connections()
	b, session := h.visit(page)
	h.group.Dispatch("", "1")
	b.await(soon, "document.getElementById('out').textContent === '1'")
	b.do("window.planted = true")
	for round, text := range []string{"12", "123", "1234"} {
		begin := time.Now()
		b.visit(h.url("/elsewhere"))
		t.Logf("%s: navigated away: gone after %v", page, h.awaitPresent(session, false, begin, time.Second))
		eventually(t, soon, h.streams)
		h.group.Dispatch("", fmt.Sprint(round+2)) // missed
		begin = time.Now()
		b.do("setTimeout(() => history.back())")
		t.Logf("%s: back: present after %v", page, h.awaitPresent(session, true, begin, soon))
		b.await(soon, "location.pathname === '"+page+"' && document.readyState === 'complete'")
		if !eval[bool](b, "window.planted === true") {
			t.Logf("%s: not kept", page)
			if err := chromedp.Cancel(b.ctx); err != nil {
				t.Fatal(err)
			}
			h.awaitPresent(session, false, begin, soon)
			return false
		}
		b.await(soon, "document.getElementById('out').textContent === '"+text+"'")
	}
	time.Sleep(300 * time.Millisecond) // something more could come
	b.await(0, "document.getElementById('out').textContent === '1234'")
	if n := h.connections() - before; n != 4 {
		t.Errorf("%d connections: %q", n, h.opened)
	}
	return true
}

// A restart of the server: the page comes back, and so does its session.
func TestPresenceRestart(t *testing.T) {
	overPages(t, func(t *testing.T, h *house, page string) {
		b, session := h.visit(page)
		b.expect("ERR_CONNECTION_REFUSED", "[object Event]", "htmx:sse:error")
		h.stop()
		b.await(soon, "document.body.dataset.stream === 'lost'")
		h.awaitPresent(session, false, time.Now(), soon)
		h.start()
		t.Logf("%s: present again after %v", page, h.awaitPresent(session, true, time.Now(), 15*time.Second))
		b.await(soon, "document.body.dataset.stream === 'open'")
	})
}

// A browser that has given up for good, here for a 503, is made to try again.
func TestPresenceGivenUp(t *testing.T) {
	for _, page := range []string{"/native", "/htmx2"} { // htmx 4 has no EventSource
		t.Run(page[1:], func(t *testing.T) {
			h := openHouse(t)
			b, session := h.visit(page)
			b.expect("ERR_CONNECTION_REFUSED", "503", "[object Event]")
			h.group.Dispatch("", "1")
			b.await(soon, "document.getElementById('out').textContent === '1'")
			h.stop()
			l, err := net.Listen("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			broken := make(chan struct{}, 10)
			other := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				broken <- struct{}{}
			})}
			go other.Serve(l)
			<-broken
			<-broken // a second time: that is the script's doing
			other.Close()
			h.start()
			h.group.Dispatch("", "2")
			t.Logf("%s: present again after %v", page, h.awaitPresent(session, true, time.Now(), 20*time.Second))
			b.await(soon, "document.getElementById('out').textContent === '12'")
		})
	}
}

// A page renews its session, if its server asks for that.
func TestPresenceRenewal(t *testing.T) {
	h := openHouse(t)
	h.tracker.MaxSilence = 5 * time.Second // ten times as long as the page takes
	b, session := h.visit("/native")
	time.Sleep(11 * time.Second) // more than two renewals
	if !h.tracker.Present(session) || h.connections() != 1 {
		t.Errorf("present is %v, after %d connections", h.tracker.Present(session), h.connections())
	}
	b.do("window.fetch = () => new Promise(() => {})") // a page that is stuck
	begin := time.Now()
	t.Logf("no longer renewed: gone after %v", h.awaitPresent(session, false, begin, 6*time.Second))
}

// front brings a tab to the front of its window.
func (b *tab) front() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, cdppage.BringToFront, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
}
