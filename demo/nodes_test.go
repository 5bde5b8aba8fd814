package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.org/sse/backplane"
)

// What one process of several changes is on the pages of the others, and the same
// board never comes after a newer one; people and locks are the same at all.
func TestShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	var memory backplane.Memory
	var apps []*app
	var bases []string
	for i := range 3 {
		b, err := openBoard(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer b.close()
		key, err := b.key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := newApp(b, key, "")
		a.share(fmt.Sprint(i), &memory, &memory)
		apps, bases = append(apps, a), append(bases, serveApp(t, a))
	}
	token := apps[0].people.Token("a")
	var readers []*reader
	for i, base := range bases {
		if resp, err := http.Get(base + "/ready"); err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("node %d answers %v, %v", i, resp, err)
		}
		page := apps[2-i].people.Token("b") // of another node
		if i == 0 {
			page = token
		}
		readers = append(readers, listen(t, base+"/events?page="+page, []string{"a", "b", "b"}[i]))
	}
	for i, r := range readers {
		r.until("node", fmt.Sprint("to node ", i))
		for ticks := 0; len(apps[i].people.here()) != 2; ticks++ {
			if r.until("clock"); ticks > 5 {
				t.Fatalf("at node %d are %v", i, apps[i].people.here())
			}
		}
	}
	post := func(base, path, form string) string {
		t.Helper()
		values, _ := url.ParseQuery(form)
		status, body := send(t, base+path, values, "Page-Token", token, "Cookie", "visitor=a")
		if status >= 300 {
			t.Fatalf("%s %s: %d %s", path, form, status, body)
		}
		return body
	}
	_, lock, _ := strings.Cut(post(bases[1], "/cards/lock", "id=1&how=take"), `"lock":"`)
	lock, _, _ = strings.Cut(lock, `"`)
	for _, r := range readers {
		r.until("locks", `data-of="1"`)
	}
	post(bases[2], "/cards/edit", "id=1&revision=1&text=edited&lock="+lock)
	for _, r := range readers {
		r.until("board", "<b>edited</b>")
	}
	post(bases[0], "/cards/lock", "id=1&how=release")
	var adding sync.WaitGroup
	const each = 10
	for i, base := range bases {
		adding.Go(func() {
			for range each {
				if status, body := send(t, base+"/cards/add", url.Values{"text": {fmt.Sprint("by ", i)}}); status != 204 {
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	for i, r := range readers {
		for before := 0; before < len(firstCards())+len(bases)*each; {
			now := strings.Count(r.until("board"), "<article")
			if now <= before {
				t.Fatalf("at node %d a board of %d cards came after one of %d", i, now, before)
			}
			before = now
		}
	}
	adding.Wait()
}

// A moody log does not answer at times, or not although it has taken the entry.
type moody struct {
	backplane.Memory

	mu           sync.Mutex
	silent, deaf bool
	entries      map[backplane.Cursor]bool
}

func (m *moody) set(silent, deaf bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent, m.deaf, m.entries = silent, deaf, make(map[backplane.Cursor]bool)
}

func (m *moody) Append(ctx context.Context, id string, data []byte) (backplane.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent {
		return backplane.Cursor{}, fmt.Errorf("%w: it is silent", backplane.ErrIndeterminate)
	}
	c, err := m.Memory.Append(ctx, id, data)
	m.entries[c] = true
	if m.deaf {
		err = fmt.Errorf("%w: it is deaf", backplane.ErrIndeterminate)
	}
	return c, err
}

// What could not be shown is kept, and shown later; once, if it was shown after all.
func TestLate(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		a := newApp(newBoard(t), nil, "")
		var log moody
		log.set(false, false)
		a.share("A", &log, &log)
		base := serveApp(t, a)
		r := listen(t, base+"/events", "a")
		r.until("board", "Nothing here.")
		a.streams.show(t.Context()) // that newBoard has emptied it
		log.set(!deaf, deaf)
		status, body := send(t, base+"/cards/add", url.Values{"text": {"late"}})
		if status != http.StatusAccepted || !strings.Contains(body, "will be shown") {
			t.Errorf("answered with %d %s", status, body)
		}
		if got := order(t, a.board, todo); got != "late" {
			t.Errorf("the board has %q", got)
		}
		log.mu.Lock()
		log.silent, log.deaf = false, false
		log.mu.Unlock()
		r.until("board", "<b>late</b>")
		for deaf && a.streams.show(t.Context()) != nil {
			continue // that is later
		}
		send(t, base+"/cards/add", url.Values{"text": {"next"}})
		r.until("board", "<b>next</b>")
		log.mu.Lock()
		if n := len(log.entries); n < 2 || n > 2*len(dialects) {
			t.Errorf("two changes made %d entries", n)
		}
		log.mu.Unlock()
	}
}

// behind returns the URL of a proxy in front of handlers; a nil one is a node that is
// dead, though the proxy does not know it yet.
func behind(t *testing.T, handlers ...http.HandlerFunc) string {
	t.Helper()
	var nodes []*upstream
	for i, h := range handlers {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		n := &upstream{name: fmt.Sprint(i), addr: srv.Listener.Addr().String()}
		n.up.Store(true)
		if h == nil {
			srv.Close()
		}
		nodes = append(nodes, n)
	}
	srv := httptest.NewServer(newProxy(nodes).handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

// says answers with a name, and with what it was sent.
func says(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, name, string(body))
	}
}

// breaks takes a request, and dies.
func breaks(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

func TestProxy(t *testing.T) {
	a, b := says("a"), says("b")
	const unreachable = "The servers cannot be reached"
	for _, tt := range []struct {
		name, method, path string
		nodes              []http.HandlerFunc
		want               []string // of one request after another
	}{
		{"in turn", "GET", "/", []http.HandlerFunc{a, b}, []string{"a", "b", "a"}},
		{"streams apart", "GET", "/events", []http.HandlerFunc{a, b}, []string{"a", "b", "a"}},
		{"dead one", "GET", "/", []http.HandlerFunc{nil, a, b}, []string{"a", "a", "b", "a", "a", "b"}},
		{"change at a dead one", "POST", "/", []http.HandlerFunc{nil, a}, []string{"asent", "asent"}},
		{"breaking off", "GET", "/", []http.HandlerFunc{breaks, a}, []string{"a", "a"}},
		{"change that may be made", "POST", "/", []http.HandlerFunc{breaks, a}, []string{unreachable, "asent", "asent"}},
		{"change without a body", "DELETE", "/", []http.HandlerFunc{breaks, a}, []string{unreachable, "a"}},
		{"none", "GET", "/", []http.HandlerFunc{nil, nil}, []string{unreachable}},
		{"stream of none", "GET", "/events/htmx4", []http.HandlerFunc{nil}, []string{"EOF"}},
		{"page that is no stream", "GET", "/eventsource", []http.HandlerFunc{nil}, []string{unreachable}},
	} {
		url := behind(t, tt.nodes...) + tt.path
		for i, want := range tt.want {
			var body io.Reader
			if tt.method == "POST" {
				body = strings.NewReader("sent")
			}
			r, _ := http.NewRequestWithContext(t.Context(), tt.method, url, body)
			resp, err := http.DefaultTransport.RoundTrip(r)
			got := fmt.Sprint(err)
			if err == nil {
				all, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				got = string(all)
			}
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s: request %d got %q, want %q", tt.name, i, got, want)
			}
		}
	}
}

// The proxy finds out by itself that a node is not ready, and that it is.
func TestProxyChecks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &upstream{addr: l.Addr().String()}
	p := newProxy([]*upstream{n})
	var checking sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	checking.Go(func() { p.check(ctx) })
	defer checking.Wait()
	defer cancel()
	status := make(chan int)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(<-status)
	})}
	go srv.Serve(l)
	defer srv.Close()
	for _, code := range []int{204, 503, 204} {
		status <- code
		status <- code // the one before has been noted
		if n.up.Load() != (code == 204) {
			t.Errorf("after %d it is taken for up: %v", code, n.up.Load())
		}
	}
}
