package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

var full = flag.Bool("full", false, "run the longest versions of the tests, and check durations: for an idle machine")

// skipShort skips tests with -short that start a browser, kill processes or cut
// networks.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: runs without -short")
	}
}

// faultPatience is a guard against hangs where brokers elect leaders and hundreds of
// clients reconnect, on a busy machine.
const faultPatience = 5 * time.Minute

// roleVariable has the test binary play a part other than that of the tests.
const roleVariable = "SSE_E2E_ROLE"

// roles are what a process can be. A role gets the rest of its environment
// variable, and ends when its input does: with the tests, however these end.
var roles = map[string]func(config []byte, in *bufio.Scanner, out *output) error{
	"server": playServer,
	"node":   playNode,
	"hub":    playHub,
	"locks":  playLocks,
	"flood":  playFlood,
	"crowd":  playCrowd,
}

func play(role string) int {
	name, config, _ := strings.Cut(role, " ")
	err := roles[name]([]byte(config), bufio.NewScanner(os.Stdin), &output{w: bufio.NewWriter(os.Stdout)})
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return 1
	}
	return 0
}

// output is lines that several goroutines write.
type output struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (o *output) line(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.w, format+"\n", args...)
	o.w.Flush()
}

// A process is another one of this program. What it says is handed to line, in
// one goroutine.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{} // when all that it said was handed on
}

// spawn starts a process, in a network of its own if that has a name, until the
// test's end.
func spawn(t *testing.T, network, role string, config any, line func(string)) *process {
	t.Helper()
	skipShort(t)
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{self}
	if network != "" {
		args = []string{"ip", "netns", "exec", network, self}
	}
	p := &process{ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...)
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+string(encoded))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line(lines.Text())
		}
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) say(format string, args ...any) {
	fmt.Fprintf(p.in, format+"\n", args...)
}

// stop is SIGSTOP. When it returns the whole process stands.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGSTOP)
	for {
		var state syscall.WaitStatus
		_, err := syscall.Wait4(p.cmd.Process.Pid, &state, syscall.WUNTRACED, nil)
		if err == nil && state.Stopped() {
			return
		}
		if !errors.Is(err, syscall.EINTR) {
			t.Fatalf("stop: %v, %v", state, err)
		}
	}
}

// kill is SIGKILL.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.cmd.Wait()
}

// A serverConfig is that of one NATS server, of a cluster if there are routes.
type serverConfig struct {
	Name        string
	Host        string
	Port, Route int
	Routes      string
	Dir         string
}

func playServer(config []byte, in *bufio.Scanner, out *output) error {
	var c serverConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	o := &server.Options{
		ServerName: c.Name, Host: c.Host, Port: c.Port, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: c.Dir,
	}
	if c.Routes != "" {
		o.Cluster = server.ClusterOpts{Name: "test", Host: c.Host, Port: c.Route}
		o.Routes = server.RoutesFromStr(c.Routes)
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(faultPatience) {
		return fmt.Errorf("it does not start")
	}
	out.line("ready")
	for in.Scan() {
	}
	s.Shutdown()
	return in.Err()
}
