package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
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
		{"bench -c 0 x", 2, "=", "-c must be from 1 to 1000000"},
		{"bench -c 99999999999 x", 2, "=", "-c must be from 1 to 1000000"},
		{"bench -d 0 x", 2, "=", "-d must be positive"},
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

// TestHelpWidth checks that each command's help fits a terminal of 80 columns.
func TestHelpWidth(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for _, name := range []string{"", "tail", "send", "bench", "doctor", "completion"} {
		p := command(t, "", append(strings.Fields(name), "--help")...)
		for line := range strings.Lines(p.out.String()) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func TestMain(m *testing.M) {
	os.Unsetenv("NO_COLOR")
	http.DefaultTransport.(*http.Transport).DialContext = dialMemory
	os.Exit(m.Run())
}
