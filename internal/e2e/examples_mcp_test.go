package e2e

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The official client of MCP loses its connection in the middle of a call, and resumes
// in another process of the example: it gets each report once, and the result.
func TestExampleMCP(t *testing.T) {
	skipShort(t)
	needPackages(t)
	b := startBroker(t, 1)
	var processes []*httputil.ReverseProxy
	for range 2 {
		to, err := url.Parse(startExample(t, "mcp", "-nats", b.connect(t, 0).ConnectedUrl()))
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, &httputil.ReverseProxy{
			FlushInterval: -1,
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
			ErrorHandler:  func(http.ResponseWriter, *http.Request, error) {}, // it is cut
		})
	}
	var current atomic.Pointer[httputil.ReverseProxy]
	current.Store(processes[0])
	site := startRestartable(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current.Load().ServeHTTP(w, r)
	}), true)
	client := runScript(t, "mcp.mjs", "http://"+site.addr)
	client.say("dig")
	var got []string
	for late := time.After(patience); !slices.Contains(got, "result gold"); {
		select {
		case line := <-client.lines:
			if strings.HasPrefix(line, "error ") && strings.Contains(line, "disconnected") {
				continue // the client reports that it was cut
			}
			if got = append(got, line); len(got) == 3 {
				current.Store(processes[1])
				site.cut()
			}
		case <-late:
			t.Fatalf("got %q, want the result", got)
		}
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("progress ", i))
	}
	if want = append(want, "result gold"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	site.wantResumed(1)
}
