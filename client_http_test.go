package sse_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// The target of a redirect gets the headers that it needs, but no secrets meant for
// another host.
func TestClientRedirect(t *testing.T) {
	body := func() (io.Reader, error) { return io.LimitReader(strings.NewReader("body"), 4), nil }
	for _, tt := range []struct {
		status   int
		to       string
		method   string
		secrets  bool
		redirect string // the method of the second request
	}{
		{301, "/there", "GET", true, "GET"},
		{302, "http://one.test/there", "GET", true, "GET"},
		{303, "http://two.test/there", "GET", false, "GET"},
		{307, "http://two.test/there", "GET", false, "GET"},
		{308, "http://two.test/there", "GET", false, "GET"},
		{307, "/there", "POST", true, "POST"},
		{308, "http://two.test/there", "POST", false, "POST"},
		{303, "http://two.test/there", "POST", false, "GET"},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			there := &script{answers: []http.HandlerFunc{says("data: x\n\n")}}
			here := &script{answers: []http.HandlerFunc{answers(tt.status, "", "Location", tt.to)}}
			site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/there" {
					there.ServeHTTP(w, r)
				} else {
					here.ServeHTTP(w, r)
				}
			}))
			site.client.Jar, _ = cookiejar.New(nil)
			site.client.Jar.SetCookies(&url.URL{Scheme: "http", Host: "one.test"}, []*http.Cookie{{Name: "jar", Value: "secret"}})
			opened := ""
			client := sse.Client{
				URL: "http://one.test/", HTTPClient: site.client, ResumeAfter: "7",
				Header:    http.Header{"Cookie": {"own=secret"}, "X-Mine": {"a"}},
				OnRequest: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer secret"); return nil },
				OnOpen:    func(r *http.Response) { opened = r.Request.URL.Path },
			}
			if tt.method == "POST" {
				client.GetBody, client.RepeatPost = body, true
			}
			if events, err := all(t, t.Context(), &client); len(events) != 1 || err != nil || opened != "/there" {
				t.Fatalf("%d %s: got %q, error %v, from %s; want one event from /there", tt.status, tt.to, events, err, opened)
			}
			first, r := here.got()[0], there.got()[0]
			cookie := first.Header.Get("Cookie")
			if first.Header.Get("Authorization") == "" || !strings.Contains(cookie, "jar=secret") || !strings.Contains(cookie, "own=secret") {
				t.Errorf("%d %s: the first request has %v; want all secrets", tt.status, tt.to, first.Header)
			}
			for name, want := range map[string]string{"Last-Event-Id": "7", "Accept": "text/event-stream", "Cache-Control": "no-cache", "X-Mine": "a"} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%d %s: got %s %q, want %q", tt.status, tt.to, name, got, want)
				}
			}
			if got := r.Header.Get("Authorization") != "" && strings.Contains(r.Header.Get("Cookie"), "jar=secret"); got != tt.secrets {
				t.Errorf("%d %s: got %v, want the secrets: %v", tt.status, tt.to, r.Header, tt.secrets)
			}
			if !tt.secrets && strings.Contains(fmt.Sprint(r.Header), "secret") {
				t.Errorf("%d %s: got %v, want no secrets", tt.status, tt.to, r.Header)
			}
			if r.Method != tt.redirect || r.Method == "POST" && r.body != "body" {
				t.Errorf("%d %s: got %s %q, want %s with its body", tt.status, tt.to, r.Method, r.body, tt.redirect)
			}
			if again := here.got()[1]; again.URL.Path != "/" || again.Method != first.Method {
				t.Errorf("reconnected with %s %s, want %s /", again.Method, again.URL, first.Method)
			}
		})
	}
}

// Events of all sizes, around those of usual buffers, are yielded as soon as the
// server flushes them, compressed or not.
func TestClientFlushed(t *testing.T) {
	sizes := []int{0, 1, 128, 511, 512, 1023, 1024, 1025, 4000, 4095, 4096, 4097, 8185, 8192, 8193, 16384, 32768, 65535, 65536, 1 << 20}
	for _, encoding := range []string{"", "gzip"} {
		overEachSocket(t, func(t *testing.T, tr transport) {
			next := make(chan bool)
			site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Header.Get("Last-Event-ID") != "" {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				body, flush := io.Writer(w), func() error { return nil }
				if encoding != "" {
					w.Header().Set("Content-Encoding", encoding)
					z := gzip.NewWriter(w)
					defer z.Close()
					body, flush = z, z.Flush
				}
				for i, size := range sizes {
					fmt.Fprintf(body, "id: %d\ndata: %s\n\n", i, strings.Repeat("x", size))
					flush()
					w.(http.Flusher).Flush()
					select {
					case <-next: // the client has it
					case <-r.Context().Done():
					}
				}
			}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			client := sse.Client{URL: "http://" + addr(t, site), HTTPClient: site.client, Retry: 1}
			n := 0
			for e, err := range client.Events(ctx) {
				if err != nil || len(e.Data) != sizes[n] {
					t.Fatalf("%q, event %d: got %d bytes, error %v; want %d", encoding, n, len(e.Data), err, sizes[n])
				}
				n++
				next <- true
			}
			if n != len(sizes) {
				t.Errorf("%q: got %d events, want %d", encoding, n, len(sizes))
			}
		})
	}
}

// addr returns the address on which a site listens.
func addr(t *testing.T, s *site) string {
	conn, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.RemoteAddr().String()
}

// The client connects to a server that starts later, and to one that restarts.
func TestClientRestartedServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	started := false
	serve := func(answer http.HandlerFunc) *http.Server {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skip(err) // another process took the port
		}
		srv := &http.Server{Handler: answer}
		go srv.Serve(l)
		return srv
	}
	var srv *http.Server
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var ids []string
	client := sse.Client{URL: "http://" + address, HTTPClient: &http.Client{Transport: new(http.Transport)}, Retry: 1, MaxRetry: -1}
	client.OnError = func(error, time.Duration) {
		if !started {
			started = true
			srv = serve(func(w http.ResponseWriter, r *http.Request) {
				ids = append(ids, r.Header.Get("Last-Event-ID"))
				if len(ids) < 3 {
					stays(fmt.Sprintf("id: %d\ndata: x\n\n", len(ids)))(w, r)
				} else {
					w.WriteHeader(http.StatusNoContent)
				}
			})
		}
	}
	for _, err := range client.Events(ctx) {
		if err != nil {
			t.Error(err)
		}
		srv.Close()
		started = false
	}
	if srv != nil {
		srv.Close()
	}
	if got := fmt.Sprintf("%q", ids); got != `["" "1" "2"]` {
		t.Errorf(`got the Last-Event-IDs %s, want ["" "1" "2"]`, got)
	}
}

// A server on a real socket sends an event of 100 MiB, a page, and a 404.
func TestClientSockets(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "id: 1\ndata: x\n\ndata: ")
		io.Copy(w, repeat("x", 100<<20))
		io.WriteString(w, "\n\n")
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!DOCTYPE html>") })
	overEachSocket(t, func(t *testing.T, tr transport) {
		site := tr.listen(t, mux)
		base := "http://" + addr(t, site)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		client := sse.Client{URL: base + "/large", HTTPClient: site.client}
		if events, err := all(t, ctx, &client); len(events) != 1 || !errors.Is(err, sse.ErrTooLarge) || client.LastEventID() != "1" {
			t.Errorf("large: got %d events, error %v, id %q; want one, ErrTooLarge, %q", len(events), err, client.LastEventID(), "1")
		}
		client = sse.Client{URL: base + "/large", HTTPClient: site.client, MaxEvent: 1000}
		if events, err := all(t, ctx, &client); len(events) != 1 || !errors.Is(err, sse.ErrTooLarge) || !strings.Contains(err.Error(), "1000") {
			t.Errorf("with a limit: got %d events, error %v; want one, ErrTooLarge with 1000", len(events), err)
		}
		for path, status := range map[string]int{"/page": 200, "/none": 404} {
			client = sse.Client{URL: base + path, HTTPClient: site.client}
			var refused *sse.ResponseError
			if events, err := all(t, ctx, &client); len(events) > 0 || !errors.As(err, &refused) || refused.StatusCode != status {
				t.Errorf("%s: got %q, error %v; want a ResponseError with %d", path, events, err, status)
			}
		}
	})
}

// 100 loops of the default client leave no goroutine behind.
func TestClientLeavesNothing(t *testing.T) {
	server := httptest.NewServer(stays("data: x\n\n"))
	defer server.Close()
	before := runtime.NumGoroutine()
	for range 100 {
		client := sse.Client{URL: server.URL, IdleTimeout: time.Minute}
		for _, err := range client.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	eventually(t, 5*time.Second, "its goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// A client of a Set whose server restarts misses no event and gets none twice.
func TestClientOfSet(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var group sse.Set
		var current atomic.Pointer[site]
		current.Store(tr.serve(t, &group))
		client := sse.Client{URL: "http://memory/", HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return current.Load().client.Transport.RoundTrip(r)
		})}}
		go func() {
			for i := range 100 {
				time.Sleep(100 * time.Millisecond)
				group.DispatchEvent(sse.Event{Type: "n", Data: fmt.Sprint(i)})
				if i%30 == 10 {
					last := current.Swap(tr.serve(t, &group))
					last.server.Shutdown(t.Context())
				}
			}
		}()
		n := 0
		for e, err := range client.Events(t.Context()) {
			if err != nil || e.Data != fmt.Sprint(n) || e.Type != "n" || e.ID == "" {
				t.Fatalf("got %+v, error %v; want event %d with an id", e, err, n)
			}
			if n++; n == 100 {
				break
			}
		}
		synctest.Wait()
		if group.Len() != 0 {
			t.Errorf("got %d members after the client left, want 0", group.Len())
		}
	})
}
