package e2e

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Streams come and go while others send requests through the same proxy, over the same
// connections to the server: whoever ends a stream, no other request fails because of it.
func TestNeighbours(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("streams are detached on Linux alone")
	}
	for _, proxy := range keepingProxies {
		t.Run(proxy.name, func(t *testing.T) {
			s := startRestarting(t)
			transport := keepingTransport()
			t.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport}
			origin := "http://" + proxy.start(t, s.tap.addr)
			t.Run("closed by the server", func(t *testing.T) { s.amongOthers(t, client, origin, s.closeAll, 0) })
			t.Run("left by the client", func(t *testing.T) { s.amongOthers(t, client, origin, s.leaveAll, 0) })
			// An http.Server that shuts down closes its idle connections, with streams or without: a
			// POST that is on its way at that moment fails.
			t.Run("ended by a shutdown", func(t *testing.T) { s.amongOthers(t, client, origin, s.restart, 1) })
		})
	}
}

// amongOthers opens streams and ends them, some times, among other requests. Of these, most
// may fail for each connection without a stream that the server closes.
func (s *restarting) amongOthers(t *testing.T, client *http.Client, origin string, end func(*testing.T, []*stream), most int) {
	t.Helper()
	rounds, requests := 5, 700 // of 15 cases
	if testing.Short() {
		rounds, requests = 1, 50
	}
	closed, reused := s.tap.closed.Load(), s.tap.reused.Load()
	others := startOthers(t, client, origin, requests)
	for round := range rounds {
		streams := s.open(t, client, origin, 20)
		others.await(t, requests*(round+1)/(rounds+1))
		end(t, streams)
		eventually(t, soon, func() string {
			if n := s.group.Len(); n > 0 {
				s.group.Dispatch("", "anyone?") // HAProxy notices then that a client has left
				return fmt.Sprintf("%d streams have not ended", n)
			}
			return ""
		})
	}
	failed := others.wait()
	closed, reused = s.tap.closed.Load()-closed, s.tap.reused.Load()-reused
	t.Logf("%d requests, of which %d failed; the server closed %d connections", others.begun.Load(), len(failed), closed)
	if limit := most * int(closed); len(failed) > limit {
		t.Errorf("%d requests failed, want %d at most; the first: %v", len(failed), limit, failed[0])
	}
	if reused > 0 {
		t.Errorf("%d connections of streams were sent another request", reused)
	}
}

// keepingTransport returns a transport that keeps all of its connections.
func keepingTransport() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 1000} }

// others send requests all the time, each of which gets an answer of its own.
type others struct {
	client  *http.Client
	origin  string
	begun   atomic.Int64
	stop    atomic.Bool
	running sync.WaitGroup

	mu     sync.Mutex
	failed []error
}

// startOthers starts them. They stop when wait is called, but not before there were enough
// requests.
func startOthers(t *testing.T, client *http.Client, origin string, requests int) *others {
	o := &others{client: client, origin: origin}
	t.Cleanup(func() { o.wait() })
	for range 8 {
		o.running.Go(func() {
			for !o.stop.Load() || o.begun.Load() < int64(requests) {
				n := o.begun.Add(1)
				if err := o.request(n); err != nil {
					o.mu.Lock()
					o.failed = append(o.failed, fmt.Errorf("request %d: %w", n, err))
					o.mu.Unlock()
				}
			}
		})
	}
	return o
}

// request sends a GET or, for odd n, a POST whose body has up to 32 KiB.
func (o *others) request(n int64) error {
	path := fmt.Sprintf("/others/%d", n)
	method, body := http.MethodGet, ""
	if n%2 > 0 {
		method, body = http.MethodPost, strings.Repeat(path, int(n*7919%32<<10)/len(path))
	}
	r, err := http.NewRequest(method, o.origin+path, strings.NewReader(body)) //nolint:noctx // the proxy answers
	if err != nil {
		return err
	}
	response, err := o.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if want := path + body; err == nil && (response.StatusCode != http.StatusOK || string(got) != want) {
		err = fmt.Errorf("got %s, %d bytes %.40q; want %d bytes %.40q", response.Status, len(got), got, len(want), want)
	}
	return err
}

// await waits until so many requests have begun.
func (o *others) await(t *testing.T, requests int) {
	t.Helper()
	eventually(t, soon, func() string {
		if n := o.begun.Load(); n < int64(requests) {
			return fmt.Sprintf("%d requests have begun, want %d", n, requests)
		}
		return ""
	})
}

// wait returns the errors of the requests that failed.
func (o *others) wait() []error {
	o.stop.Store(true)
	o.running.Wait()
	return o.failed
}
