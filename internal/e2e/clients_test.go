package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// strict are options with everything in them that a client can take for an event.
var strict = &sse.AcceptOptions{Retry: 100 * time.Millisecond, KeepAlive: 20 * time.Millisecond}

// A restartable is a server that shuts down, and starts again on its port. It remembers
// where clients resumed.
type restartable struct {
	t       *testing.T
	handler http.Handler
	addr    string
	plain   bool // streams keep their handlers
	srv     *http.Server
	served  chan error

	mu      sync.Mutex
	resumed []string // values of Last-Event-ID
	conns   []net.Conn
}

func startRestartable(t *testing.T, handler http.Handler, plain bool) *restartable {
	t.Helper()
	s := &restartable{t: t, handler: handler, addr: "127.0.0.1:0", plain: plain}
	s.start()
	t.Cleanup(s.shutdown)
	return s
}

func (s *restartable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		s.mu.Lock()
		s.resumed = append(s.resumed, id)
		s.mu.Unlock()
	}
	s.handler.ServeHTTP(w, r)
}

func (s *restartable) start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if !s.plain {
		l = sse.Listener(l)
	}
	srv, served := &http.Server{Handler: s, ConnState: s.connState}, make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	s.srv, s.served = srv, served
}

func (s *restartable) connState(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
	}
}

// shutdown shuts the server down, which must not take longer than clients need to
// read.
func (s *restartable) shutdown() {
	s.t.Helper()
	if err := s.srv.Shutdown(s.t.Context()); err != nil && s.t.Context().Err() == nil {
		s.t.Error(err)
	}
	s.srv.Close() // at the test's end, when a client may have a connection in reserve
	<-s.served
}

// cut closes all connections, as a cut cable does, and the server runs on.
func (s *restartable) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *restartable) wantResumed(n int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.resumed) != n {
		s.t.Errorf("clients resumed after %q, want %d", s.resumed, n)
	}
}

// A script is a client on Node.js.
type script struct {
	t     *testing.T
	name  string
	in    io.Writer
	lines chan string
}

// runScript starts a script in the folder clients, until the test's end. In CI the
// test fails if there is no Node.js.
func runScript(t *testing.T, name string, args ...string) *script {
	t.Helper()
	needPackages(t)
	cmd := exec.Command("node", append([]string{filepath.Join("clients", name)}, args...)...)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &script{t: t, name: name, in: in, lines: make(chan string, 1000)} // more than any prints
	go func() {
		defer close(c.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for line := range c.lines {
			t.Errorf("%s prints %q at the end", name, line)
		}
		cmd.Wait()
	})
	return c
}

// needPackages skips a test with -short, or if its JavaScript packages are not
// installed. In CI it fails then.
func needPackages(t *testing.T) {
	t.Helper()
	skipShort(t)
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("node_modules/.installed")
	}
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skipf("install Node.js and run ci/npm.sh internal/e2e: %v", err)
}

func (c *script) say(line string) { fmt.Fprintln(c.in, line) }

// want waits for lines, and fails at any other.
func (c *script) want(lines ...string) {
	c.t.Helper()
	late := time.After(patience)
	for _, want := range lines {
		select {
		case got := <-c.lines:
			if got != want {
				c.t.Fatalf("%s prints %q, want %q", c.name, got, want)
			}
		case <-late:
			c.t.Fatalf("%s does not print %q", c.name, want)
		}
	}
}

// marshal returns JSON of something that has some.
func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// A completion streams events, and between those before and after a shutdown waits
// for it if the request says so.
func completion(events ...sse.Event) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		source, err := sse.Accept(w, r, strict)
		if err != nil {
			return
		}
		defer source.Close()
		for i, e := range events {
			if i == len(events)/2 && strings.Contains(string(body), "hang") {
				<-source.Done()
			}
			if source.DispatchEvent(e) != nil {
				return
			}
		}
	})
}

func openaiChunk(text string) sse.Event {
	return sse.Event{Data: marshal(map[string]any{
		"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "test",
		"choices": []any{map[string]any{"index": 0, "delta": map[string]any{"content": text}, "finish_reason": nil}},
	})}
}

func anthropicEvent(typ string, fields map[string]any) sse.Event {
	fields["type"] = typ
	return sse.Event{Type: typ, Data: marshal(fields)}
}

func anthropicText(text string) sse.Event {
	return anthropicEvent("content_block_delta", map[string]any{
		"index": 0, "delta": map[string]any{"type": "text_delta", "text": text},
	})
}

// A client of a language model gets all of an answer, and of one that a shutdown ends
// what was sent before: no comment and no reconnection time is an event, and the end is
// no error.
func TestModelClients(t *testing.T) {
	tests := []struct {
		script string
		events []sse.Event
		want   []string
	}{
		{"openai.mjs", []sse.Event{openaiChunk("a"), openaiChunk("c"), openaiChunk("d"), {Data: "[DONE]"}}, []string{"text a", "text c", "text d"}},
		{"anthropic.mjs", []sse.Event{
			anthropicEvent("message_start", map[string]any{"message": map[string]any{"id": "1", "type": "message", "role": "assistant", "content": []any{}, "model": "test"}}),
			anthropicText("a"), anthropicText("b"),
			anthropicEvent("message_stop", map[string]any{}),
		}, []string{"message_start", "text a", "text b", "message_stop"}},
	}
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			site := startRestartable(t, completion(test.events...), false)
			client := runScript(t, test.script, "http://"+site.addr)
			whole := append(test.want, "end")
			client.say("answer")
			client.want(whole...)

			client.say("hang")
			client.want(test.want[:len(test.events)/2]...)
			time.Sleep(5 * strict.KeepAlive) // so that comments are sent
			site.shutdown()
			client.want("end")

			site.start()
			client.say("answer")
			client.want(whole...)
		})
	}
}

// An EventSource reconnects after a shutdown, and resumes.
func TestEventSourceClient(t *testing.T) {
	group := sse.Set{AcceptOptions: strict}
	site := startRestartable(t, &group, false)
	client := runScript(t, "eventsource.mjs", "http://"+site.addr)
	awaitMember(t, &group)
	group.Dispatch("", "one")
	client.want("data one")
	site.shutdown()
	group.Dispatch("", "two")
	site.start()
	client.want("data two")
	group.Dispatch("", "three")
	client.want("data three")
	site.wantResumed(1)
}

// awaitMember waits until a client is there.
func awaitMember(t *testing.T, group *sse.Set) {
	t.Helper()
	eventually(t, patience, func() string {
		if got := group.Len(); got != 1 {
			return fmt.Sprintf("%d members, want 1", got)
		}
		return ""
	})
}
