package e2e

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"example.org/sse"
	"github.com/CAFxX/httpcompression"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	"github.com/klauspost/compress/gzhttp"
)

// compressingMiddleware compresses event streams, too. It steps aside if a response has a
// Content-Encoding, except where it sets its own before the handler is called: then the package
// steps aside.
var compressingMiddleware = []struct {
	name  string
	wrap  func(t *testing.T, h http.Handler) http.Handler
	first bool
}{
	{"chi", func(_ *testing.T, h http.Handler) http.Handler { return middleware.Compress(5, "text/event-stream")(h) }, false},
	{"gorilla", func(_ *testing.T, h http.Handler) http.Handler { return handlers.CompressHandler(h) }, true},
	{"gzhttp", func(_ *testing.T, h http.Handler) http.Handler { return gzhttp.GzipHandler(h) }, false},
	{"httpcompression", httpCompression, false},
}

func httpCompression(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	compress, err := httpcompression.DefaultAdapter()
	if err != nil {
		t.Fatal(err)
	}
	return compress(h)
}

// Behind middleware that compresses, a stream is compressed once, and each event arrives at
// once. A stream that the package compresses is detached.
func TestCompressedBehindMiddleware(t *testing.T) {
	for _, tt := range compressingMiddleware {
		for _, way := range []string{"detached", "attached"} {
			t.Run(tt.name+", "+way, func(t *testing.T) {
				c := newCompressor(50 * time.Millisecond)
				s := startRestartable(t, tt.wrap(t, c), way == "attached")
				for _, accept := range []string{"gzip", "identity"} {
					transport := &http.Transport{DisableCompression: accept == "identity"}
					t.Cleanup(transport.CloseIdleConnections)
					before := sse.ReadStats()
					st := openStreams(t, &http.Client{Transport: transport}, "http://"+s.addr, 1)[0]
					if got := st.Header.Values("Content-Encoding"); len(got) > 0 || st.Uncompressed != (accept == "gzip") {
						t.Errorf("accepting %s: got compressed: %v, and Content-Encoding %q beside", accept, st.Uncompressed, got)
					}
					source := <-c.sources
					for n := range 60 {
						c.send(n, source) // and nothing else before it has arrived
						if !st.sees("data: " + checked(n)) {
							t.Fatalf("accepting %s: the stream ended before event %d: %v", accept, n, st.lines.Err())
						}
					}
					if way == "detached" && runtime.GOOS == "linux" {
						wantDetached(t, before, tt.first && accept == "gzip")
					}
					source.Close()
					if st.sees("data") || st.lines.Err() != nil {
						t.Errorf("accepting %s: got %q, error %v; want a clean end", accept, st.lines.Text(), st.lines.Err())
					}
				}
			})
		}
	}
}

// wantDetached waits until a stream is detached, or is not since middleware compresses it.
func wantDetached(t *testing.T, before sse.Stats, compressed bool) {
	t.Helper()
	const reason = "Content-Encoding"
	want := "1 detached, 0 not"
	if compressed {
		want = "0 detached, 1 not"
	}
	eventually(t, soon, func() string {
		now := sse.ReadStats()
		if got := fmt.Sprintf("%d detached, %d not", now.Detached-before.Detached, now.NotDetached[reason]-before.NotDetached[reason]); got != want {
			return "got " + got + ", want " + want
		}
		return ""
	})
}
