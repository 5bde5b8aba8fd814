package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A firefox is a browser of the test's own, driven by its own protocol, Marionette: arrays in
// JSON, each after its length. The commands are those of WebDriver.
type firefox struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader

	mu      sync.Mutex // one command at a time
	sent    int
	first   string // the handle of the tab that is always open
	current string // the handle of the tab that gets commands
}

// firefoxPath returns the path of the browser, or the empty string.
func firefoxPath() string {
	for _, name := range []string{"firefox-esr", "firefox"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// startFirefox starts the browser. It skips the test with -short or if there is no Firefox; in
// CI the test fails if there is none.
func startFirefox(t *testing.T) *firefox {
	t.Helper()
	skipShort(t)
	path := firefoxPath()
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("Firefox is not installed")
		}
		t.Skip("Firefox is not installed")
	}
	port, profile := freePort(t), t.TempDir()
	prefs := fmt.Sprintf("user_pref(\"marionette.port\", %d);\nuser_pref(\"datareporting.policy.dataSubmissionEnabled\", false);\n", port)
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--marionette", "--headless", "--no-remote", "--profile", profile, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &firefox{t: t}
	t.Cleanup(func() {
		if f.conn != nil {
			f.call("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}}, nil)
			f.conn.Close()
		}
		cmd.Process.Kill() // if it has not quit
		cmd.Wait()
	})
	eventually(t, soon, func() string {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err.Error()
		}
		f.conn, f.in = conn, bufio.NewReader(conn)
		return ""
	})
	if _, err := f.read(); err != nil { // its greeting
		t.Fatal(err)
	}
	f.need("WebDriver:NewSession", map[string]any{"capabilities": map[string]any{}}, nil)
	f.need("WebDriver:GetWindowHandle", map[string]any{}, &value[string]{&f.first})
	f.current = f.first
	return f
}

// A value is a result in an object of its own.
type value[T any] struct {
	Value *T `json:"value"`
}

// call sends a command, and reads its result.
func (f *firefox) call(command string, params, result any) error {
	f.sent++
	message, err := json.Marshal([]any{0, f.sent, command, params})
	if err != nil {
		return err
	}
	f.conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(message), message); err != nil {
		return err
	}
	answer, err := f.read()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	var parts [4]json.RawMessage // 1, the command's number, an error, the result
	if err := json.Unmarshal(answer, &parts); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if string(parts[2]) != "null" {
		return fmt.Errorf("%s: %s", command, parts[2])
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(parts[3], result)
}

// need is call for commands that must not fail.
func (f *firefox) need(command string, params, result any) {
	f.t.Helper()
	if err := f.call(command, params, result); err != nil {
		f.t.Fatal(err)
	}
}

// read reads one message.
func (f *firefox) read() ([]byte, error) {
	length, err := f.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(length[:len(length)-1])
	if err != nil {
		return nil, err
	}
	message := make([]byte, n)
	_, err = io.ReadFull(f.in, message)
	return message, err
}

// open opens a page in a tab of its own, in front of the others.
func (f *firefox) open(t *testing.T, url string) *tab {
	t.Helper()
	b := &tab{t: t, name: "Firefox " + url, firefox: f, handle: f.first}
	var opened struct{ Handle string }
	if err := b.inFirefox(func() error {
		return f.call("WebDriver:NewWindow", map[string]any{"type": "tab", "focus": true}, &opened)
	}); err != nil {
		t.Fatal(err)
	}
	b.handle = opened.Handle
	b.visit(url)
	return b
}

// inFirefox runs f with a tab as the one that gets commands.
func (b *tab) inFirefox(f func() error) error {
	b.firefox.mu.Lock()
	defer b.firefox.mu.Unlock()
	if b.firefox.current != b.handle {
		if err := b.firefox.call("WebDriver:SwitchToWindow", map[string]any{"handle": b.handle, "focus": false}, nil); err != nil {
			return err
		}
		b.firefox.current = b.handle
	}
	return f()
}

// evalInFirefox returns the value of an expression.
func evalInFirefox[T any](b *tab, js string) (v T, err error) {
	err = b.inFirefox(func() error {
		return b.firefox.call("WebDriver:ExecuteScript", map[string]any{"script": "return " + js, "args": []any{}, "sandbox": nil}, &value[T]{&v})
	})
	return v, err
}
