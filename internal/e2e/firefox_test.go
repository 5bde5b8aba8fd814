package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A firefox is a browser, driven by its own protocol, Marionette: arrays in
// JSON, each after its length. The commands are those of WebDriver.
type firefox struct {
	driven
	cmd     *exec.Cmd
	profile string // its folder
	conn    net.Conn
	in      *bufio.Reader
	sent    int
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

// firefoxes starts the browser that the tests share, when one needs it. It is nil if Firefox is
// not installed.
var firefoxes = sync.OnceValues(launchFirefox)

// quitFirefox ends the browser, if it was started.
var quitFirefox = func() {}

// needFirefox returns the browser. It skips the test with -short or if there is no Firefox; in CI
// the test fails if there is none.
func needFirefox(t *testing.T) *firefox {
	t.Helper()
	skipShort(t)
	f, err := firefoxes()
	if err != nil {
		t.Fatal(err)
	}
	if f == nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("Firefox is not installed")
		}
		t.Skip("Firefox is not installed")
	}
	return f
}

func launchFirefox() (*firefox, error) {
	path := firefoxPath()
	if path == "" {
		return nil, nil
	}
	profile, err := os.MkdirTemp("", "firefox")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "--marionette", "--headless", "--no-remote", "--profile", profile, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	f := &firefox{cmd: cmd, profile: profile}
	f.driven = driven{name: "Firefox", call: f.send}
	quitFirefox = f.quit
	if err := f.start(); err != nil {
		return nil, err
	}
	return f, nil
}

// start starts the process, on a port that it chooses, and a session in it.
func (f *firefox) start() error {
	prefs := "user_pref(\"marionette.port\", 0);\nuser_pref(\"datareporting.policy.dataSubmissionEnabled\", false);\n"
	if err := os.WriteFile(filepath.Join(f.profile, "user.js"), []byte(prefs), 0o600); err != nil {
		return err
	}
	if err := f.cmd.Start(); err != nil {
		return err
	}
	var port []byte
	for begin := time.Now(); len(port) == 0; port, _ = os.ReadFile(filepath.Join(f.profile, "MarionetteActivePort")) {
		if time.Since(begin) > patience {
			return errors.New("Firefox does not listen")
		}
		time.Sleep(30 * time.Millisecond) // a process is starting
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(string(port)))
	if err != nil {
		return err
	}
	f.conn, f.in = conn, bufio.NewReader(conn)
	if _, err := f.read(); err != nil { // its greeting
		return err
	}
	return f.begin()
}

// quit ends the process.
func (f *firefox) quit() {
	if f.conn != nil {
		f.conn.Close()
	}
	if f.cmd.Process != nil {
		f.cmd.Process.Kill()
		f.cmd.Wait()
	}
	os.RemoveAll(f.profile)
}

// send sends a command, and reads its result.
func (f *firefox) send(command string, params map[string]any, result any) error {
	if params == nil {
		params = map[string]any{}
	}
	f.sent++
	message, err := json.Marshal([]any{0, f.sent, "WebDriver:" + command, params})
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
	var wrapped struct{ Value json.RawMessage } // most results are
	if err := json.Unmarshal(parts[3], &wrapped); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if wrapped.Value != nil {
		parts[3] = wrapped.Value
	}
	return json.Unmarshal(parts[3], result)
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
