package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A webkit is WebKitGTK's browser, on a screen of its own. It is driven by a process that
// serves the commands of WebDriver over HTTP.
type webkit struct {
	driven
	home    string // a folder
	url     string // of the session, or of what begins one
	screen  *exec.Cmd
	server  *exec.Cmd
	display string
}

// webkits starts the browser that the tests share, when one needs it. It is nil if WebKitGTK's
// driver, or the screen, is not installed.
var webkits = sync.OnceValues(launchWebKit)

// quitWebKit ends the browser, if it was started.
var quitWebKit = func() {}

// needWebKit returns the browser. It skips the test without -full, or if there is no WebKitGTK.
func needWebKit(t *testing.T) *webkit {
	t.Helper()
	skipShort(t)
	if !*full {
		t.Skip("WebKitGTK is only used with -full")
	}
	w, err := webkits()
	if err != nil {
		t.Fatal(err)
	}
	if w == nil {
		t.Skip("WebKitWebDriver or Xvfb is not installed: see Debian's webkit2gtk-driver and xvfb")
	}
	return w
}

func launchWebKit() (*webkit, error) {
	driver, err := exec.LookPath("WebKitWebDriver")
	if err != nil {
		return nil, nil //nolint:nilerr // the tests are skipped
	}
	screen, err := exec.LookPath("Xvfb")
	if err != nil {
		return nil, nil //nolint:nilerr // the tests are skipped
	}
	home, err := os.MkdirTemp("", "webkit")
	if err != nil {
		return nil, err
	}
	w := &webkit{home: home}
	w.driven = driven{name: "WebKit", call: w.send}
	quitWebKit = w.quit
	if err := w.startScreen(screen); err != nil {
		return nil, err
	}
	if err := w.startServer(driver); err != nil {
		return nil, err
	}
	return w, nil
}

// startScreen starts a screen, which says its name when it is there.
func (w *webkit) startScreen(program string) error {
	r, name, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	w.screen = exec.Command(program, "-displayfd", "3", "-screen", "0", "1280x900x24", "-nolisten", "tcp")
	w.screen.ExtraFiles = []*os.File{name}
	err = w.screen.Start()
	name.Close()
	if err != nil {
		return err
	}
	r.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fscan(r, &w.display)
	return err
}

// startServer starts the process that serves the commands, and the browser's session.
func (w *webkit) startServer(program string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	w.url = "http://" + addr + "/session"
	w.server = exec.Command(program, "--host=127.0.0.1", "--port="+addr[strings.LastIndex(addr, ":")+1:])
	w.server.Env = append(os.Environ(), "DISPLAY=:"+w.display, "GDK_BACKEND=x11", "HOME="+w.home)
	w.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the browser's processes are in the group, too
	if err := w.server.Start(); err != nil {
		return err
	}
	begun := time.Now()
	for err = w.begin(); errors.Is(err, syscall.ECONNREFUSED) && time.Since(begun) < patience; err = w.begin() {
		time.Sleep(30 * time.Millisecond) // a process is starting
	}
	return err
}

// quit ends the processes.
func (w *webkit) quit() {
	if w.server != nil && w.server.Process != nil {
		w.call("DeleteSession", nil, nil)
		syscall.Kill(-w.server.Process.Pid, syscall.SIGKILL)
		w.server.Wait()
	}
	if w.screen != nil && w.screen.Process != nil {
		w.screen.Process.Kill()
		w.screen.Wait()
	}
	os.RemoveAll(w.home)
}

// webDriverPaths are the commands as they are over HTTP, below the session's URL.
var webDriverPaths = map[string][2]string{
	"NewSession":      {"POST", ""},
	"DeleteSession":   {"DELETE", ""},
	"GetWindowHandle": {"GET", "/window"},
	"SwitchToWindow":  {"POST", "/window"},
	"CloseWindow":     {"DELETE", "/window"},
	"NewWindow":       {"POST", "/window/new"},
	"Navigate":        {"POST", "/url"},
	"ExecuteScript":   {"POST", "/execute/sync"},
}

var webDriverClient = &http.Client{Timeout: patience}

// send sends a command, and reads its result.
func (w *webkit) send(command string, params map[string]any, result any) error {
	path := webDriverPaths[command]
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(path[0], w.url+path[1], bytes.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return err
	}
	resp, err := webDriverClient.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	defer resp.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", command, answer.Value)
	}
	if command == "NewSession" {
		var session struct{ SessionID string }
		err := json.Unmarshal(answer.Value, &session)
		w.url += "/" + session.SessionID
		return err
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}
