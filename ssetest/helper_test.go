package ssetest_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/ssetest"
)

// TestMain fails if a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	t.end()
	if leaked := leakedGoroutines(); leaked != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", leaked)
		code = 1
	}
	os.Exit(code)
}

// leakedGoroutines returns the stacks of goroutines that do not end within a
// minute.
func leakedGoroutines() string {
	var leaked []string
	for range 600 {
		leaked = leaked[:0]
		buf := make([]byte, 16<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "example.org/sse") && !strings.Contains(g, "leakedGoroutines") || strings.Contains(g, "net/http.") {
				leaked = append(leaked, g)
			}
		}
		if len(leaked) == 0 {
			return ""
		}
		time.Sleep(100 * time.Millisecond) // real goroutines of real connections are ending
	}
	return strings.Join(leaked, "\n\n")
}

// A kind is one way to serve streams.
type kind struct {
	name     string
	memory   bool
	http2    bool
	detached bool
}

var kinds = []kind{
	{name: "memory, HTTP/1.1", memory: true},
	{name: "memory, HTTP/2", memory: true, http2: true},
	{name: "memory, detached", memory: true, detached: true},
	{name: "socket, HTTP/1.1"},
	{name: "socket, HTTP/2", http2: true},
	{name: "socket, detached", detached: true},
}

// overEach runs a test over each kind: in memory in fake time, over sockets in
// real time.
func overEach(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			if k.memory {
				synctest.Test(t, func(t *testing.T) { test(t, k) })
			} else {
				test(t, k)
			}
		})
	}
}

// inMemory is overEach without sockets.
func inMemory(t *testing.T, test func(t *testing.T, k kind)) {
	overEach(t, func(t *testing.T, k kind) {
		if k.memory {
			test(t, k)
		}
	})
}

func (k kind) serve(handler http.Handler) *ssetest.Server {
	if inner := handler; !k.detached {
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(holding{w}, r) })
	}
	serve := ssetest.NewServer
	if k.memory {
		serve = ssetest.NewMemoryServer
	}
	server := serve(handler)
	server.HTTP2 = k.http2
	return server
}

// A holding writer does not give its connection away, so that the stream keeps its
// handler.
type holding struct{ http.ResponseWriter }

func (w holding) inner() *http.ResponseController {
	return http.NewResponseController(w.ResponseWriter)
}
func (w holding) FlushError() error                      { return w.inner().Flush() }
func (w holding) SetReadDeadline(until time.Time) error  { return w.inner().SetReadDeadline(until) }
func (w holding) SetWriteDeadline(until time.Time) error { return w.inner().SetWriteDeadline(until) }
func (w holding) EnableFullDuplex() error                { return w.inner().EnableFullDuplex() }

// t is the examples' testing.TB, so that they read like tests. It ends after all
// of them.
var t = newExampleT()

// An exampleT is the part of a testing.TB that the package uses.
type exampleT struct {
	testing.TB
	ctx    context.Context
	cancel func()

	mu       sync.Mutex
	cleanups []func()
}

func newExampleT() *exampleT {
	ctx, cancel := context.WithCancel(context.Background())
	return &exampleT{ctx: ctx, cancel: cancel}
}

func (t *exampleT) Helper()                           {}
func (t *exampleT) Context() context.Context          { return t.ctx }
func (t *exampleT) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *exampleT) end() {
	t.cancel()
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

// A failingT is a test that is expected to fail.
type failingT struct {
	exampleT
	deadline func() (time.Time, bool)
	messages []string
}

func (t *failingT) Deadline() (time.Time, bool) { return t.deadline() }

func (t *failingT) Errorf(format string, args ...any) {
	t.messages = append(t.messages, fmt.Sprintf(format, args...))
}

func (t *failingT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// failures runs a test and returns the message that it fails with.
func failures(test func(t testing.TB)) string {
	return failuresBefore(func() (time.Time, bool) { return time.Now().Add(time.Minute), true }, test)
}

// failuresBefore is like failures for a test with a deadline.
func failuresBefore(deadline func() (time.Time, bool), test func(t testing.TB)) string {
	t := &failingT{deadline: deadline}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(t)
	}()
	<-done
	t.end()
	return strings.Join(t.messages, "\n")
}
