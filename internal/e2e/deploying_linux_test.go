package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"example.org/sse"
)

// buildService builds the program of the guide on deploying.
func buildService(t *testing.T) (program string) {
	t.Helper()
	blocks := guide(t, "deploying.md", "go")
	code, err := os.ReadFile("service/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 1 || blocks[0] != string(code) {
		t.Error("the guide's program differs from service/main.go")
	}
	program = filepath.Join(t.TempDir(), "site")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./service").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// supervise starts a process, and returns a channel with how it ends. It is killed when the test ends.
func supervise(t *testing.T, cmd *exec.Cmd) (ended <-chan error) {
	t.Helper()
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
	})
	return done
}

// stops sends SIGTERM to a process with a stream, and checks that both end as they should.
func stops(t *testing.T, cmd *exec.Cmd, ended <-chan error, body io.Reader) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil || !regexp.MustCompile(`data: hello\n\nretry: \d+\n$`).Match(got) {
		t.Errorf("got %q, error %v, want the event and a reconnection time", got, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

// says opens a stream, sends it an event, and checks that it is detached.
func says(t *testing.T, origin string) (body io.Reader) {
	t.Helper()
	s, err := openStream(t.Context(), origin+"/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	eventually(t, soon, func() string {
		r, err := http.Get(origin + "/stats") //nolint:noctx // on loopback
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		var stats sse.Stats
		if err := json.NewDecoder(r.Body).Decode(&stats); err != nil || stats.Detached != 1 {
			return fmt.Sprintf("got %+v, error %v, want a detached stream", stats, err)
		}
		return ""
	})
	r, err := http.PostForm(origin+"/say", url.Values{"text": {"hello"}}) //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return s.Body
}

// The guide's units are valid.
func TestDeployingUnits(t *testing.T) {
	analyze := find(t, "systemd-analyze")
	program, dir := buildService(t), t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, block := range guide(t, "deploying.md", "ini") {
		head, unit, _ := strings.Cut(block, "\n")
		file := filepath.Join(dir, filepath.Base(head))
		unit = strings.ReplaceAll(unit, "/usr/local/bin/site", program)
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("got %q, error %v, want no complaint", out, err)
	}
}

// The program takes its socket from systemd: the first client starts it.
func TestDeployingActivation(t *testing.T) {
	activate := find(t, "systemd-socket-activate")
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.CommandContext(t.Context(), activate, "-l", addr, buildService(t))
	ended := supervise(t, cmd)
	eventually(t, soon, func() string {
		if got := status("http://" + addr + "/stats"); got != http.StatusOK {
			return fmt.Sprintf("got status %d, want 200", got)
		}
		return ""
	})
	stops(t, cmd, ended, says(t, "http://"+addr))
}

// While a process is replaced, the socket that it had is open: a client waits for the next
// process, and is not refused.
func TestDeployingRestart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	program, origin := buildService(t), "http://"+l.Addr().String()
	start := func() (*exec.Cmd, <-chan error) {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
		cmd.ExtraFiles = []*os.File{socket}
		return cmd, supervise(t, cmd)
	}
	cmd, ended := start()
	stops(t, cmd, ended, says(t, origin))
	answered := make(chan int, 1)
	conn, err := net.Dial("tcp", l.Addr().String()) //nolint:noctx // on loopback
	if err != nil {
		t.Fatalf("a client is refused between two processes: %v", err)
	}
	conn.Close()
	go func() { answered <- status(origin + "/stats") }()
	cmd, ended = start()
	if got := <-answered; got != http.StatusOK {
		t.Errorf("a client that came between two processes got status %d, want 200", got)
	}
	stops(t, cmd, ended, says(t, origin))
}

// The Dockerfile's program is process 1 of an image that has nothing else, and ends with
// STOPSIGNAL.
func TestDeployingImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process 1")
	}
	buildService(t)
	file := guide(t, "deploying.md", "dockerfile")[0]
	last := func(instruction string) string {
		all := regexp.MustCompile(`(?m)^`+instruction+` (.*)$`).FindAllStringSubmatch(file, -1)
		if all == nil {
			t.Fatalf("no %s in the Dockerfile", instruction)
		}
		return all[len(all)-1][1]
	}
	root, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	if err := os.Chmod(root, 0o755); err != nil { //nolint:gosec // another user's root
		t.Fatal(err)
	}
	compile := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(last("RUN"), "-o /site", "-o "+root+"/site", 1))
	compile.Dir = "service"
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var entry []string // the exec form is JSON
	if err := json.Unmarshal([]byte(last("ENTRYPOINT")), &entry); err != nil {
		t.Fatal(err)
	}
	if got := last("STOPSIGNAL"); got != "SIGTERM" {
		t.Errorf("got STOPSIGNAL %s, want SIGTERM", got)
	}
	var user uint32
	if _, err := fmt.Sscan(strings.Split(last("USER"), ":")[0], &user); err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: entry[0], Args: entry, Dir: "/", Env: []string{"ADDR=" + addr}, SysProcAttr: &syscall.SysProcAttr{
		Chroot: root, Cloneflags: syscall.CLONE_NEWPID, Credential: &syscall.Credential{Uid: user, Gid: user},
	}}
	ended := supervise(t, cmd)
	eventually(t, soon, func() string {
		if got := status("http://" + addr + "/stats"); got != http.StatusOK {
			return fmt.Sprintf("got status %d, want 200", got)
		}
		return ""
	})
	stops(t, cmd, ended, says(t, "http://"+addr))
}
