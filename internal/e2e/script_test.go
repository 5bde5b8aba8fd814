package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

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
