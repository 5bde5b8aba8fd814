package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A process is the process of a node.
type process struct {
	*upstream
	args    []string
	started chan struct{} // closed when pid is set
	pid     int
}

// run runs the node until it ends or ctx is done. It prints how the node ended, unless
// ctx is done.
func (p *process) run(ctx context.Context) {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-nodes:", err)
		return
	}
	cmd := exec.CommandContext(ctx, self, p.args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "demo-nodes:", err)
		return
	}
	p.pid = cmd.Process.Pid
	close(p.started)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return // stopped with the others
	}
	how := "exit status 0"
	if err != nil {
		how = err.Error()
	}
	fmt.Printf("Node %s has ended (%s). Its pages reconnect to the other nodes. To start it again:\n  %s %s &\n", p.name, how, self, strings.Join(p.args, " "))
}
