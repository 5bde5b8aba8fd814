package sse_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.org/sse"
)

var gzipped = &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}}

func TestNegotiation(t *testing.T) {
	for _, tt := range []struct{ accept, want string }{
		{"", ""},
		{"gzip", "gzip"},
		{"GZip", "gzip"},
		{"x-gzip", "gzip"},
		{"gzip, deflate, br, zstd", "gzip"},
		{"deflate;q=1.0, gzip ; q=0.5", "gzip"},
		{"gzip;q=0.001", "gzip"},
		{"gzip;q=0", ""},
		{"gzip;q=0, *", ""},
		{"*", "gzip"},
		{"*;q=0", ""},
		{"br", ""},
		{"identity", ""},
		{"identity, gzip", "gzip"},
		{"identity;q=0.5, gzip;q=0.4", ""},
		{"identity;q=0, br", ""},
		{"gzip;q=2", ""},
		{"gzip;q=-1", ""},
		{"gzip;q=NaN", ""},
		{"gzip;q", ""},
		{"gzip;level=1", ""},
		{"gzipped", ""},
		{",, ;q=1,gzip", "gzip"},
	} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", nil)
			if tt.accept != "" {
				r.Header.Set("Accept-Encoding", tt.accept)
			}
			source, _ := sse.Accept(w, r, gzipped)
			source.Close()
			if got := w.Header().Get("Content-Encoding"); got != tt.want {
				t.Errorf("%s, Accept-Encoding %q: got Content-Encoding %q, want %q", method, tt.accept, got, tt.want)
			}
			if got := w.Header().Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("%s, Accept-Encoding %q: got Vary %q", method, tt.accept, got)
			}
			if got := w.Header().Get("Cache-Control"); !strings.Contains(got, "no-transform") {
				t.Errorf("got Cache-Control %q, want no-transform in it", got)
			}
		}
	}
}

// Headers that were set before stay.
func TestNegotiationKeepsHeaders(t *testing.T) {
	for _, tt := range []struct {
		o                      *sse.AcceptOptions
		name, value            string // set before
		wantVary, wantEncoding string
	}{
		{nil, "Vary", "Origin", "Origin", ""},
		{&sse.AcceptOptions{}, "X", "y", "", ""},
		{&sse.AcceptOptions{Compress: []sse.Coding{{}}}, "X", "y", "Accept-Encoding", ""},
		{gzipped, "Vary", "Origin", "Origin; Accept-Encoding", "gzip"},
		{gzipped, "Vary", "Origin, accept-encoding", "Origin, accept-encoding", "gzip"},
		{gzipped, "Vary", "*", "*", "gzip"},
		{gzipped, "Content-Encoding", "br", "Accept-Encoding", "br"},
		{gzipped, "Content-Encoding", "identity", "Accept-Encoding", "identity"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w.Header().Set(tt.name, tt.value)
		source, _ := sse.Accept(w, r, tt.o)
		source.Dispatch("", "x")
		source.Close()
		vary := strings.Join(w.Header().Values("Vary"), "; ")
		if encoding := w.Header().Get("Content-Encoding"); vary != tt.wantVary || encoding != tt.wantEncoding {
			t.Errorf("%s: %q: got Vary %q and Content-Encoding %q, want %q and %q", tt.name, tt.value, vary, encoding, tt.wantVary, tt.wantEncoding)
		}
		if plain := strings.HasPrefix(w.Body.String(), ":\n"); plain == (tt.wantEncoding == "gzip") {
			t.Errorf("%s: %q: the body begins %.10q", tt.name, tt.value, w.Body.String())
		}
	}
}

// Each event arrives before the next one is dispatched, of a set or not: no decoder holds
// anything back. The stream ends cleanly, with a right trailer, after each of them.
func TestCompressedAtOnce(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(gzipped)
		site := tr.listen(t, handler)
		for ends := range 6 {
			st := site.open()
			if !st.response.Uncompressed {
				t.Fatal("the stream is not compressed")
			}
			var a, b sse.Set
			source := <-sources
			a.Add(source)
			b.Add(source)
			for i := range 12 + ends {
				switch n := strconv.Itoa(i); i % 6 {
				case 0:
					source.Dispatch("", n)
				case 1:
					b.Dispatch("", n)
				case 2:
					go source.Dispatch("", strings.Repeat(n, 100_000)) // more than a stored block holds
				case 3:
					a.Dispatch("", strings.Repeat(n, 100_000))
				default:
					a.Dispatch("", strings.Repeat(n, 100))
				}
				if e, err := st.next(); err != nil || !strings.HasPrefix(e.data, strconv.Itoa(i)) {
					t.Fatalf("event %d: got %.20q, error %v", i, e.data, err)
				}
			}
			switch ends % 3 {
			case 0:
				source.Close()
			case 1:
				a.CloseAll()
			case 2:
				a.Dispatch("", "last")
				b.CloseAll()
				st.want("message|last")
			}
			st.wantEnd()
		}
		st := site.open()
		<-sources
		go site.shutdown()
		st.wantEnd()
	})
}

// A stream that is cut is cut for its reader, too.
func TestCompressedCut(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(gzipped)
		site := tr.listen(t, handler)
		st := site.open()
		source := <-sources
		source.Dispatch("", "one")
		st.want("message|one")
		site.server.Close()
		if tr.detached {
			source.Wait() // server.Close ends detached streams as Shutdown does
			st.wantEnd()
			return
		}
		if e, err := st.next(); err == nil || err == io.EOF {
			t.Errorf("got %q, error %v; want an error", e.data, err)
		}
	})
}

// A compressed stream is detached as another one is, and HTTP/1.0 gets one without chunks.
func TestCompressedDetaches(t *testing.T) {
	onlyLinux(t)
	before := quietStats(t)
	handler, sources := connected(gzipped)
	site := detachedTransport.listen(t, handler)
	st := site.open()
	source := <-sources
	eventually(t, 5*time.Second, "it is detached", func() bool { return sse.ReadStats().Detached == before.Detached+1 })
	source.Close()
	st.wantEnd()

	conn, err := net.Dial("tcp", dialAddr(t, site))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.0\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
	source = <-sources
	source.Dispatch("", "old")
	source.Close()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); string(got) != ":\ndata: old\n\n" || err != nil {
		t.Errorf("got %q, error %v", got, err)
	}
}

// A client's IdleTimeout counts the keep-alives of a compressed stream.
func TestCompressedIdleTimeout(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Compress: gzipped.Compress, KeepAlive: 10 * time.Second})
		site := tr.serve(t, handler)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		coded := false
		client := sse.Client{URL: "http://memory/", HTTPClient: site.client, IdleTimeout: 15 * time.Second, Retry: -1}
		client.OnOpen = func(r *http.Response) { coded = r.Uncompressed }
		go func() {
			source := <-sources
			time.Sleep(time.Hour) // fake
			source.Dispatch("", "late")
		}()
		for e, err := range client.Events(ctx) {
			if err != nil || e.Data != "late" || !coded {
				t.Errorf("got %q, error %v, compressed %v; want late, compressed", e.Data, err, coded)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the keep-alives did not count")
			}
			break
		}
	})
}

// An event counts as an update that comes with keep-alives which others were sent before.
func TestCompressedUpdatedAt(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		sources := make(chan *sse.EventSource, 1)
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			interval, _ := time.ParseDuration(r.URL.RawQuery)
			o := &sse.AcceptOptions{KeepAlive: interval, Compress: gzipped.Compress}
			sse.Serve(w, r, o, func(source *sse.EventSource) { sources <- source })
		}))
		var group sse.Set
		for _, interval := range []string{"7s", "-1s"} {
			st := site.openURL("http://memory/?" + interval)
			source := <-sources
			group.Add(source)
			defer func() {
				st.want("message|0", "message|1", "message|2")
				if got := source.UpdatedAt().Sub(source.OpenedAt()); got != 20*time.Second {
					t.Errorf("keep-alives after %s: updated after %v, want 20s", interval, got)
				}
			}()
		}
		for i := range 3 {
			group.Dispatch("", strconv.Itoa(i))
			time.Sleep(10 * time.Second) // fake
		}
	})
}
