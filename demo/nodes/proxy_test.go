package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// behind returns the URL of a proxy in front of handlers. A nil handler is a node that
// has died, which the proxy does not know yet.
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

// says answers with a name and the request's body.
func says(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, name, string(body))
	}
}

// breaks reads a request and breaks the connection.
func breaks(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

func TestProxy(t *testing.T) {
	a, b := says("a"), says("b")
	const unreachable = "No server can be reached"
	for _, tt := range []struct {
		name, method, path string
		nodes              []http.HandlerFunc
		want               []string // one per request
	}{
		{"in turn", "GET", "/", []http.HandlerFunc{a, b}, []string{"a", "b", "a"}},
		{"streams apart", "GET", "/events", []http.HandlerFunc{a, b}, []string{"a", "b", "a"}},
		{"dead node", "GET", "/", []http.HandlerFunc{nil, a, b}, []string{"a", "a", "b", "a", "a", "b"}},
		{"change at a dead node", "POST", "/", []http.HandlerFunc{nil, a}, []string{"asent", "asent"}},
		{"broken connection", "GET", "/", []http.HandlerFunc{breaks, a}, []string{"a", "a"}},
		{"change that may have been made", "POST", "/", []http.HandlerFunc{breaks, a}, []string{unreachable, "asent", "asent"}},
		{"change without a body", "DELETE", "/", []http.HandlerFunc{breaks, a}, []string{unreachable, "a"}},
		{"no node", "GET", "/", []http.HandlerFunc{nil, nil}, []string{unreachable}},
		{"stream without a node", "GET", "/events/htmx4", []http.HandlerFunc{nil}, []string{"EOF"}},
		{"page, not a stream", "GET", "/eventsource", []http.HandlerFunc{nil}, []string{unreachable}},
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

// The proxy notices by itself whether a node is ready.
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
		status <- code // the first answer has been processed
		if n.up.Load() != (code == 204) {
			t.Errorf("after status %d: got up %v, want %v", code, n.up.Load(), code == 204)
		}
	}
}
