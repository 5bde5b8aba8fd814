//go:build linux

// Package process starts the processes of a measurement, calls methods of those
// that are parts of this program, and reads what they use.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"time"
)

// ErrHangs reports that there was no progress for longer than allowed.
var ErrHangs = errors.New("hangs")

// None is for methods of parts without arguments, or without results.
type None struct{}

// Play serves the methods of a part and then exits, if this process was started by
// [StartPart]. Otherwise it does nothing. A part ends when its input does.
func Play(parts map[string]any) {
	if len(os.Args) != 3 || os.Args[1] != "part" {
		return
	}
	s := rpc.NewServer()
	if err := s.RegisterName("Part", parts[os.Args[2]]); err != nil {
		panic(err)
	}
	s.ServeConn(stdio{os.Stdin, os.Stdout})
	os.Exit(0)
}

// stdio is the connection between a part and the process that started it.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// A Process is a process that this one started.
type Process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	client *rpc.Client

	// Orders is for what a part reads from its file [OrdersFile], without a reply.
	Orders *os.File
}

// OrdersFile is the descriptor of a part's orders.
const OrdersFile = 3

// StartPart starts a part of a program, which is this one if program is empty.
func StartPart(ctx context.Context, program, part string) (*Process, error) {
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	return Start(ctx, program, "part", part)
}

// Start starts a program.
func Start(ctx context.Context, program string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	orders, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orders.Close() //nolint:errcheck // the process has its own
	p.Orders, p.cmd.ExtraFiles = w, []*os.File{orders}
	p.client = rpc.NewClient(stdio{out, in})
	return p, p.cmd.Start()
}

// Call calls a method of a part and waits for the reply. If that takes longer than
// patience, the error is [ErrHangs].
func (p *Process) Call(patience time.Duration, method string, args, reply any) error {
	call := p.client.Go("Part."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if failed := rpc.ServerError(""); call.Error == nil || errors.As(call.Error, &failed) {
			return call.Error
		}
		p.Kill() // which ends what writes to stderr
		first, _, _ := strings.Cut(p.stderr.String(), "\n")
		return fmt.Errorf("%s: the process has ended: %s", strings.ToLower(method), first)
	case <-time.After(patience):
		return fmt.Errorf("%s: %w", strings.ToLower(method), ErrHangs)
	}
}

// Kill ends the process and waits for its end. It does not ask: a server that hangs
// would not answer.
func (p *Process) Kill() {
	p.cmd.Process.Kill() //nolint:errcheck // fails if the process has ended
	p.cmd.Wait()         //nolint:errcheck // says that it was killed
	p.Orders.Close()     //nolint:errcheck // the reader is gone
}
