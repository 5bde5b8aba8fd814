package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// A lockedBuffer can be written by a command while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A process is a running command.
type process struct {
	out, err  lockedBuffer
	interrupt func()
	done      chan struct{}
	code      int // valid once done is closed
}

// start starts a command line.
func start(t *testing.T, in io.Reader, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	p := &process{done: make(chan struct{}), interrupt: func() { cancel(errInterrupted) }}
	go func() {
		defer close(p.done)
		p.code = run(ctx, args, &streams{in: in, out: &p.out, err: &p.err})
	}()
	t.Cleanup(func() {
		p.interrupt()
		p.wait(t)
	})
	return p
}

// wait waits for the command to end.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute): // the machine may be busy
		t.Errorf("it hangs\nout: %s\nerr: %s", p.out.String(), p.err.String())
	}
}

// command runs a command line to its end.
func command(t *testing.T, in string, args ...string) *process {
	t.Helper()
	p := start(t, strings.NewReader(in), args...)
	p.wait(t)
	return p
}

// check compares a command's exit code and output. out and err are parts of the
// output, or all of it after a "=".
func (p *process) check(t *testing.T, code int, out, err string) {
	t.Helper()
	if p.code != code {
		t.Errorf("exit code %d, want %d", p.code, code)
	}
	for _, c := range []struct{ name, got, want string }{{"out", p.out.String(), out}, {"err", p.err.String(), err}} {
		exact, isExact := strings.CutPrefix(c.want, "=")
		if isExact && c.got != exact || !isExact && !strings.Contains(c.got, c.want) {
			t.Errorf("%s: got %.2000s\nwant %s", c.name, c.got, c.want)
		}
	}
	if t.Failed() {
		t.Logf("err: %.2000s", p.err.String())
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 12_000 { // two minutes: the machine may be busy
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond) // there is nothing in another process to wait on
	}
	t.Fatalf("timed out waiting until %s", what)
}

// sendHead begins a stream as hand-written handlers do.
func sendHead(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
}

// ticks is a hand-written stream: an event every 50 ms, with an id. It ignores
// Last-Event-ID; ?for=1s ends it.
func ticks(w http.ResponseWriter, r *http.Request) {
	sendHead(w)
	ctx := r.Context()
	if d, err := time.ParseDuration(r.FormValue("for")); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 1; ; i++ {
		select {
		case now := <-ticker.C:
			fmt.Fprintf(w, "id: %d\ndata: tick %d\n\n", i, now.UnixNano())
			http.NewResponseController(w).Flush()
		case <-ctx.Done():
			return
		}
	}
}

// three is a stream of three events.
const three = "retry: 100\nid: 1\ndata: a\n\n: hi\nevent: done\nid: 2\ndata: b\ndata: c\n\ndata: \x1b[31mx\n\n"

// newServer serves streams, and responses that are not streams.
func newServer(t *testing.T) *httptest.Server {
	return newServerOn(t, func(_ *testing.T, handler http.Handler) *httptest.Server { return httptest.NewServer(handler) })
}

func newServerOn(t *testing.T, start func(*testing.T, http.Handler) *httptest.Server) *httptest.Server {
	stopped := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/three", func(w http.ResponseWriter, _ *http.Request) {
		sendHead(w)
		io.WriteString(w, three)
	})
	mux.HandleFunc("/next", func(w http.ResponseWriter, r *http.Request) { // one event per connection
		n := 0
		fmt.Sscan(r.Header.Get("Last-Event-ID"), &n)
		sendHead(w)
		fmt.Fprintf(w, "retry: 100\nid: %d\ndata: next\n\n", n+1)
	})
	mux.HandleFunc("/ticks", ticks)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sendHead(w)
		fmt.Fprintf(w, "data: %s,%s,%s,%s,%s\n\n", r.Method, r.Header.Get("Content-Type"), r.Header.Get("X-Try"), r.Header.Get("Last-Event-ID"), body)
	})
	mux.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!DOCTYPE html><p>hello") })
	mux.HandleFunc("/escape", func(w http.ResponseWriter, _ *http.Request) { // a reason with an escape sequence
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "HTTP/1.1 404 \x1b[31mred\r\nContent-Length: 0\r\n\r\n")
		c.Close()
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		sendHead(w)
		io.WriteString(w, "data: a\n\ndata: b")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		mib, err := strconv.Atoi(r.FormValue("mib"))
		if err != nil {
			mib = 100
		}
		sendHead(w)
		io.WriteString(w, "data: ")
		for range mib {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
				return
			}
		}
		io.WriteString(w, "\n\n")
	})
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {
		sendHead(w)
		select {
		case <-r.Context().Done():
		case <-stopped:
		}
	})
	mux.HandleFunc("/dead", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stopped:
		}
	})
	mux.HandleFunc("/retry0", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(headed(w), "retry: 0\nid: 1\ndata: a\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.Handle("/quiet", &sse.Set{AcceptOptions: &sse.AcceptOptions{KeepAlive: 600 * time.Millisecond}})
	mux.Handle("/moved", http.RedirectHandler("/ticks", http.StatusFound))
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		ticks(w, r)
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		sendHead(w)
		z := gzip.NewWriter(w)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for r.Context().Err() == nil {
			<-ticker.C
			io.WriteString(z, "data: tick\n\n")
			if r.FormValue("unflushed") == "" {
				z.Flush()
			}
			http.NewResponseController(w).Flush()
		}
	})
	var group sse.Set
	mux.Handle("/set", &group)
	server := start(t, mux)
	var ticking sync.WaitGroup
	ticking.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				group.Dispatch("tick", fmt.Sprintf(`{"sent": {"at": %q}}`, now.Format(time.RFC3339Nano)))
			case <-stopped:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(stopped)
		ticking.Wait()
		group.CloseAll()
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func headed(w http.ResponseWriter) io.Writer {
	sendHead(w)
	return w
}

// refused returns a URL that nothing answers.
func refused(*testing.T) string { return "http://" + memory.host + ":1/" }

func TestUsage(t *testing.T) {
	for _, row := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"", 2, "=", "sse --help"},
		{"nonsense", 2, "=", "nonsense"},
		{"--help", 0, "doctor", "="},
		{"tail --help", 0, "Example:\n  sse tail --until done", "="},
		{"tail --help", 0, "130  interrupted", "="},
		{"send --help", 0, "Example:\n  tail -f access.log | sse send :8080", "="},
		{"bench --help", 0, "Example:\n  sse bench -c 1000", "="},
		{"doctor --help", 0, "Example:\n  sse doctor https", "="},
		{"tail", 2, "=", "<url>"},
		{"tail ftp://x", 2, "=", `"ftp://x" is not an http or https URL`},
		{"tail http://", 2, "=", "has no host"},
		{"tail http://[::1", 2, "=", "is not a valid URL"},
		{"tail --json --raw x", 2, "=", "--raw"},
		{"tail -H nonsense x", 2, "=", "-H 'Name: value'"},
		{"tail -n -1 x", 2, "=", ""},
		{"tail --data @/nowhere x", 2, "=", "--data: open /nowhere"},
		{"bench ftp://x", 2, "=", "is not an http or https URL"},
		{"bench -c 0 x", 2, "=", "positive"},
		{"doctor ftp://x", 2, "=", "is not an http or https URL"},
		{"send", 2, "=", "<addr>"},
		{"send 8080", 2, "=", "write it like :8080"},
		{"send --history=-1 :0", 2, "=", "negative"},
		{"send --color=pink :0", 2, "=", "--color"},
	} {
		t.Run(row.args, func(t *testing.T) {
			command(t, "", strings.Fields(row.args)...).check(t, row.code, row.out, row.err)
		})
	}
}

func TestMain(m *testing.M) {
	os.Unsetenv("NO_COLOR")
	http.DefaultTransport.(*http.Transport).DialContext = dialMemory
	os.Exit(m.Run())
}
