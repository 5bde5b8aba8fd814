//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"example.org/sse/internal/bench/driver"
	"example.org/sse/internal/bench/subject"
)

// starter returns what runs this program again, as a server or as the clients.
// Servers of the older version of the library are of the program baseline.
func starter(baseline string) func(ctx context.Context, name string) (driver.Process, error) {
	return func(ctx context.Context, name string) (driver.Process, error) {
		program, err := os.Executable()
		if err != nil {
			return driver.Process{}, err
		}
		if name == "" {
			return start(exec.CommandContext(ctx, program, "client"))
		}
		s, err := subject.Find(name)
		if err != nil {
			return driver.Process{}, err
		}
		if s.Base {
			program = baseline
		}
		return start(exec.CommandContext(ctx, program, "server", name))
	}
}

func start(c *exec.Cmd) (driver.Process, error) {
	said := new(bytes.Buffer)
	c.Stderr = said
	in, err := c.StdinPipe()
	if err != nil {
		return driver.Process{}, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return driver.Process{}, err
	}
	if err := c.Start(); err != nil {
		return driver.Process{}, err
	}
	// Killed rather than asked to end: a server that hangs does not, and the
	// others have no time to lose.
	kill := func() error {
		killed := c.Process.Kill()
		err := c.Wait()
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			return nil
		}
		if errors.Is(killed, os.ErrProcessDone) || killed == nil {
			first, _, _ := strings.Cut(said.String(), "\n")
			return fmt.Errorf("the %s process ended before: %w: %s", c.Args[1], err, first)
		}
		return killed
	}
	return driver.Process{In: in, Out: out, Kill: kill}, nil
}
