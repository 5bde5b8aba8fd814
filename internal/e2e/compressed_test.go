package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/zstd"
)

// A compressor serves compressed streams of a set, whose events have checksums.
type compressor struct {
	group   sse.Set
	sources chan *sse.EventSource
	options *sse.AcceptOptions
}

func newCompressor(keepAlive time.Duration) *compressor {
	return &compressor{
		sources: make(chan *sse.EventSource, 1000),
		options: &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}, KeepAlive: keepAlive, Retry: 100 * time.Millisecond},
	}
}

func (c *compressor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sse.Serve(w, r, c.options, func(source *sse.EventSource) {
		c.group.Add(source)
		c.sources <- source
	})
}

// checked returns the data of the n-th event, its sum before it.
func checked(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", n)
	for i := range 1 + n*7919%60 {
		fmt.Fprintf(&b, " <li id=%d>%x</li>", i, n*i*i%(1<<(i%30)))
	}
	if n%50 == 49 {
		b.WriteString(strings.Repeat(b.String(), 20))
	}
	sum := 0
	for _, c := range []byte(b.String()) {
		sum = (sum*31 + int(c)) % (1 << 20)
	}
	return fmt.Sprintf("%d %s", sum, b.String())
}

// send dispatches the n-th event, every fifth to the source alone.
func (c *compressor) send(n int, source *sse.EventSource) {
	if n%5 == 4 {
		source.Dispatch("", checked(n))
	} else {
		c.group.Dispatch("", checked(n))
	}
}

// gzipProxies are proxies that compress, or decompress, or leave streams alone.
var gzipProxies = []struct {
	name  string
	start func(t *testing.T, upstream, line string) string
	line  string
	plain bool // the proxy does not let the server compress
}{
	{"nginx", nginxKeepsAlive, "", false},
	{"nginx gzip", nginxKeepsAlive, "gzip on; gzip_types *; gzip_proxied any;", false},
	{"nginx gunzip", nginxKeepsAlive, "gunzip on;", false},
	{"haproxy", haproxyReuses, "", false},
	{"haproxy compression", haproxyReuses, "compression algo gzip", false},
	{"haproxy offload", haproxyReuses, "compression algo gzip\n\tcompression offload", true},
	{"caddy", caddyProxies, "", false},
	{"caddy encode", caddyProxies, "encode gzip", false},
	{"none", func(_ *testing.T, upstream, _ string) string { return upstream }, "", false},
}

// Behind proxies, each event of a compressed stream arrives at once, for clients that accept
// it and for others, and the stream ends cleanly.
func TestCompressedBehindProxies(t *testing.T) {
	skipShort(t)
	for _, proxy := range gzipProxies {
		t.Run(proxy.name, func(t *testing.T) {
			c := newCompressor(50 * time.Millisecond)
			s := startRestartable(t, c, false)
			origin := "http://" + proxy.start(t, s.addr, proxy.line)
			for _, accept := range []string{"gzip", "identity"} {
				transport := &http.Transport{DisableCompression: accept == "identity"}
				t.Cleanup(transport.CloseIdleConnections)
				st := openStreams(t, &http.Client{Transport: transport}, origin, 1)[0]
				if want := accept == "gzip" && !proxy.plain; st.Uncompressed != want {
					t.Errorf("accepting %s: compressed: %v, want %v", accept, st.Uncompressed, want)
				}
				source := <-c.sources
				for n := range 60 {
					c.send(n, source) // and nothing else before it has arrived
					if !st.sees("data: " + checked(n)) {
						t.Fatalf("accepting %s: the stream ended before event %d: %v", accept, n, st.lines.Err())
					}
				}
				source.Close()
				if st.sees("data") || st.lines.Err() != nil {
					t.Errorf("accepting %s: got %q, error %v; want a clean end", accept, st.lines.Text(), st.lines.Err())
				}
			}
		})
	}
}

// Programs that accept compressed responses get each event at once, and end without an error
// when the stream does, but not when it is cut.
func TestCompressedPrograms(t *testing.T) {
	skipShort(t)
	const (
		undici = `const r = await fetch(process.argv[1]); for await (const p of r.body) process.stdout.write(p)`
		get    = `const z = require('zlib'); require('http').get(process.argv[1], {headers: {'accept-encoding': 'gzip'}},
			r => r.on('aborted', () => process.exit(1)).pipe(z.createGunzip({flush: z.constants.Z_SYNC_FLUSH})).pipe(process.stdout))`
	)
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"Go", nil},
		{"curl", []string{"curl", "-sN", "--compressed"}},
		{"fetch", []string{"node", "--input-type=module", "-e", undici}}, // which is undici's
		{"http.get", []string{"node", "-e", get}},
	} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cut: %v", tt.name, cut), func(t *testing.T) {
				c := newCompressor(50 * time.Millisecond)
				s := startRestartable(t, c, true)
				out, wait := readsURL(t, tt.args, "http://"+s.addr)
				source := <-c.sources
				st := &stream{lines: bufio.NewScanner(out)}
				for n := range 60 {
					c.send(n, source)
					if !st.sees("data: " + checked(n)) {
						t.Fatalf("it ended before event %d: %v", n, st.lines.Err())
					}
				}
				if cut {
					s.cut()
				} else {
					source.Close()
				}
				io.Copy(io.Discard, out)
				if err := wait(); (err != nil) != cut {
					t.Errorf("it ended with error %v, want one if the stream was cut", err)
				}
			})
		}
	}
}

// readsURL starts a program, or Go's client if there is none, and returns what it reads, and a
// function that waits for its end.
func readsURL(t *testing.T, args []string, url string) (out io.Reader, wait func() error) {
	t.Helper()
	if args == nil {
		return goReads(t, url)
	}
	cmd := exec.CommandContext(t.Context(), find(t, args[0]), append(args[1:], url)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return out, cmd.Wait
}

func goReads(t *testing.T, url string) (out io.Reader, wait func() error) {
	t.Helper()
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		defer in.Close()
		response, err := transport.RoundTrip(r)
		if err == nil {
			_, err = io.Copy(in, response.Body)
			response.Body.Close()
		}
		ended <- err
	}()
	return out, func() error { return <-ended }
}

// checkingPage checks the events, and asks for the next one when it has seen one.
const checkingPage = `<script>
var wrong = []
var seen = 0
const source = new EventSource('/events')
source.onmessage = ({ data }) => {
	const at = data.indexOf(' '), text = data.slice(at + 1)
	let sum = 0
	for (const c of text) sum = (sum * 31 + c.charCodeAt()) % (1 << 20)
	if (sum !== Number(data.slice(0, at)) || parseInt(text) !== seen) wrong.push(seen + ': ' + data.slice(0, 40))
	seen++
	fetch('/seen?n=' + seen)
}
</script>`

// Browsers decode each event at once, through a restart.
func TestCompressedInBrowsers(t *testing.T) {
	overAll(t, func(t *testing.T, open func(*testing.T, string) *tab) { compressedIn(t, open, sse.Gzip()) })
}

// WebKit accepts no zstd.
func TestZstdInBrowsers(t *testing.T) {
	overBrowsers(t, func(t *testing.T, open func(*testing.T, string) *tab) { compressedIn(t, open, zstd.Coding()) })
}

func compressedIn(t *testing.T, open func(*testing.T, string) *tab, coding sse.Coding) {
	c := newCompressor(5 * time.Millisecond)
	c.options.Compress = []sse.Coding{coding}
	seen := make(chan string, 1000)
	pages := pagesOf(checkingPage, c)
	var encodings sync.Map
	s := startRestartable(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/seen":
			seen <- r.FormValue("n")
			return
		case "/events":
			defer func() { encodings.Store(w.Header().Get("Content-Encoding"), true) }()
		}
		pages.ServeHTTP(w, r)
	}), false)
	b := open(t, "http://"+s.addr)
	b.expect("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
	source := <-c.sources
	for n := range 500 {
		if n%100 == 50 {
			time.Sleep(20 * time.Millisecond) // for keep-alives
		}
		if n == 250 {
			s.shutdown()
			s.start()
			source = <-c.sources
		}
		c.send(n, source)
		select {
		case <-seen:
		case <-time.After(patience):
			t.Fatalf("event %d has not arrived; the page has seen %v, wrong %v", n, eval[int](b, "seen"), eval[[]string](b, "wrong"))
		}
	}
	if wrong := eval[[]string](b, "wrong"); len(wrong) > 0 {
		t.Errorf("%d events were wrong, the first %q", len(wrong), wrong[0])
	}
	encodings.Range(func(got, _ any) bool {
		if got != coding.String() {
			t.Errorf("got Content-Encoding %q, want %v", got, coding)
		}
		return true
	})
}
