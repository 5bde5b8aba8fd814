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
)

// start runs this program again, as a server or as the clients.
func start(ctx context.Context, subject string) (driver.Process, error) {
	program, err := os.Executable()
	if err != nil {
		return driver.Process{}, err
	}
	args := []string{"client"}
	if subject != "" {
		args = []string{"server", subject}
	}
	c := exec.CommandContext(ctx, program, args...)
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
			return fmt.Errorf("the %s process ended before: %w: %s", args[0], err, first)
		}
		return killed
	}
	return driver.Process{In: in, Out: out, Kill: kill}, nil
}
