package zstd_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.org/sse"
	"example.org/sse/internal/codingtest"
	"example.org/sse/zstd"
	klauspost "github.com/klauspost/compress/zstd"
)

func TestProperty(t *testing.T) {
	codingtest.Property(t, codec)
}

var both = []sse.Coding{zstd.Coding(), sse.Gzip()}

// serve serves compressed streams, detached where they can be, and returns their URL.
func serve(t *testing.T, codings []sse.Coding, wrap func(http.Handler) http.Handler) (url string, sources <-chan *sse.EventSource) {
	t.Helper()
	all := make(chan *sse.EventSource, 10)
	server := httptest.NewUnstartedServer(wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, &sse.AcceptOptions{Compress: codings}, func(source *sse.EventSource) { all <- source })
	})))
	server.Listener = sse.Listener(server.Listener)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, all
}

func asIs(h http.Handler) http.Handler { return h }

func TestNegotiation(t *testing.T) {
	url, sources := serve(t, both, asIs)
	for accept, want := range map[string]string{
		"gzip, deflate, br, zstd": "zstd",
		"zstd;q=0.5, gzip":        "gzip",
		"gzip, deflate":           "gzip",
		"br":                      "",
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		r.Header.Set("Accept-Encoding", accept)
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		(<-sources).Close()
		response.Body.Close()
		if got := response.Header.Get("Content-Encoding"); got != want {
			t.Errorf("accepting %q: got %q, want %q", accept, got, want)
		}
	}
}

// A client with the transport gets each event before the next one is dispatched, in
// whatever coding, and a clean end.
func TestTransport(t *testing.T) {
	holding := func(h http.Handler) http.Handler { // it keeps its handler
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(flushing{w}, r)
		})
	}
	for _, tt := range []struct {
		name    string
		codings []sse.Coding
		wrap    func(http.Handler) http.Handler
		want    bool
	}{
		{"zstd, detached", both, asIs, true},
		{"zstd, attached", both, holding, true},
		{"gzip", both[1:], asIs, true},
		{"identity", nil, asIs, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, sources := serve(t, tt.codings, tt.wrap)
			client := sse.Client{URL: url, HTTPClient: &http.Client{Transport: &zstd.Transport{}}, Retry: -1}
			client.OnOpen = func(r *http.Response) {
				if r.Uncompressed != tt.want || r.Header.Get("Content-Encoding") != "" {
					t.Errorf("decoded: %v, want %v; Content-Encoding %q", r.Uncompressed, tt.want, r.Header.Get("Content-Encoding"))
				}
			}
			var group sse.Set
			var source *sse.EventSource
			dispatch := func(n int) {
				if n%4 == 3 {
					go source.Dispatch("", page(n))
				} else {
					group.Dispatch("", page(n))
				}
			}
			go func() {
				source = <-sources
				group.Add(source)
				dispatch(0)
			}()
			n := 0
			for e, err := range client.Events(t.Context()) {
				if err != nil || e.Data != page(n) {
					t.Fatalf("event %d: got %.40q, error %v", n, e.Data, err)
				}
				if n++; n == 40 {
					source.Close()
				} else if n < 40 {
					dispatch(n)
				}
			}
			if n != 40 {
				t.Errorf("got %d events, want 40", n)
			}
		})
	}
}

// A flushing writer does not give its connection away.
type flushing struct{ http.ResponseWriter }

func (w flushing) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// A request with headers of its own is left alone, and one that fails fails.
func TestTransportPassesOn(t *testing.T) {
	url, sources := serve(t, both, asIs)
	client := &http.Client{Transport: &zstd.Transport{}}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	r.Header.Set("Accept-Encoding", "zstd")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	(<-sources).Close()
	response.Body.Close()
	if got := response.Header.Get("Content-Encoding"); got != "zstd" {
		t.Errorf("got Content-Encoding %q, want that it is not decoded", got)
	}
	failing := errors.New("it fails")
	client.Transport = &zstd.Transport{Base: fails{failing}}
	if _, err := client.Get(url); !errors.Is(err, failing) {
		t.Errorf("got error %v, want that of the base", err)
	}
}

type fails struct{ err error }

func (f fails) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// A large page that is sent again with small changes costs its changes.
func TestSize(t *testing.T) {
	const events, most = 200, 200
	url, sources := serve(t, both, asIs)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	r.Header.Set("Accept-Encoding", "zstd")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	decoded, encoded := make(chan string), new(int)
	go func() {
		defer close(decoded)
		d, err := klauspost.NewReader(counter{response.Body, encoded}, klauspost.WithDecoderConcurrency(1))
		if err != nil {
			return
		}
		for e := range sse.Events(d) {
			decoded <- e.Data
		}
	}()
	var group sse.Set
	group.Add(<-sources)
	for n := range events {
		group.Dispatch("", page(n))
		if got := <-decoded; got != page(n) {
			t.Fatalf("event %d: got %.40q", n, got)
		}
	}
	group.CloseAll()
	<-decoded // now encoded is complete
	if got := *encoded / events; got > most {
		t.Errorf("%d bytes for a page of %d, want %d at most", got, len(page(events)), most)
	} else {
		t.Logf("%d bytes for a page of %d", got, len(page(events)))
	}
}

type counter struct {
	io.Reader
	n *int
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

// page returns the n-th state of a page of 59 KB.
func page(n int) string {
	var b strings.Builder
	for row := range 540 {
		k := row * 7919
		if row%180 == n%180 {
			k += n
		}
		fmt.Fprintf(&b, `<tr id="row-%d"><td class="name">Row %d</td><td class="number">%x</td><td class="state">%s</td></tr>`+"\n", row, row, uint32(k)*2654435761, []string{"open", "closed", "late"}[k%3])
	}
	return strings.TrimSuffix(b.String(), "\n")
}
