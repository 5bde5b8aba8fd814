//go:build linux

package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// parts are the processes that a run consists of, each this program again. A
// part ends when its input does.
var parts = map[string]func(ctx context.Context, arg string, in io.Reader, out io.Writer) error{
	"node": playNode,
	"nats": playNATS,
	"back": playClients,
}

// Play has this process be a part.
func Play(ctx context.Context, name, arg string, in io.Reader, out io.Writer) error {
	play, ok := parts[name]
	if !ok {
		return fmt.Errorf("there is no part %q", name)
	}
	return play(ctx, arg, in, out)
}

// A process is one that a run has started.
type process struct {
	cmd     *exec.Cmd
	said    bytes.Buffer // to its standard error
	in      *json.Encoder
	out     *json.Decoder
	answers chan reply
}

// run starts a program. One that is no part is not talked to.
func run(ctx context.Context, talks bool, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, program, args...), answers: make(chan reply, 1)}
	p.cmd.Stderr = &p.said
	if !talks {
		return p, p.cmd.Start()
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = json.NewEncoder(in), json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen()
	return p, nil
}

// listen hands on what the process says, until it ends.
func (p *process) listen() {
	defer close(p.answers)
	for {
		var r reply
		if p.out.Decode(&r) != nil {
			return
		}
		p.answers <- r
	}
}

// ask has a part do something, and waits for it.
func (p *process) ask(o order) (reply, error) {
	if err := p.in.Encode(o); err != nil {
		return reply{}, fmt.Errorf("%s: %w", o.Op, err)
	}
	return p.answer(o.Op, patience+o.For)
}

const patience = time.Minute // more than any call of a log's

func (p *process) answer(to string, patience time.Duration) (reply, error) {
	select {
	case r, ok := <-p.answers:
		switch {
		case !ok:
			first, _, _ := strings.Cut(p.said.String(), "\n")
			return r, fmt.Errorf("%s: the process has ended: %s", to, first)
		case r.Error != "":
			return r, fmt.Errorf("%s: %s", to, r.Error)
		}
		return r, nil
	case <-time.After(patience):
		return reply{}, fmt.Errorf("%s: no answer for %v", to, patience)
	}
}

// kill ends the process and waits for that.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if p.in != nil {
		for range p.answers { // until it says nothing any more
		}
	}
	_ = p.cmd.Wait() // it was killed
	return nil
}

// cpu returns the processor time in ns that the process has used.
func (p *process) cpu() (int64, error) {
	clock := int32(^p.cmd.Process.Pid<<3 | 2) // as clock_getcpuclockid(3) has it
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", p.cmd.Process.Pid, err)
	}
	return t.Nano(), nil
}

// An order is what a node or the clients are told.
type order struct {
	Op      string        `json:"op"`
	Engine  string        `json:"engine,omitempty"`
	Addrs   string        `json:"addrs,omitempty"` // of the broker, or of the server
	Hubs    int           `json:"hubs,omitempty"`
	Callers int           `json:"callers,omitempty"`
	For     time.Duration `json:"for,omitempty"`
	Pause   time.Duration `json:"pause,omitempty"` // between the events of a caller
	Count   int           `json:"count,omitempty"`
	ID      string        `json:"id,omitempty"`    // the last event id of those that come back
	Until   int           `json:"until,omitempty"` // the event that they wait for
}

// A reply is what they answer. All times are ns.
type reply struct {
	Error  string  `json:"error,omitempty"`
	Events int     `json:"events,omitempty"`
	P50    float64 `json:"p50,omitempty"`
	P99    float64 `json:"p99,omitempty"`
	Took   float64 `json:"took,omitempty"`
	ID     string  `json:"id,omitempty"`
	Addr   string  `json:"addr,omitempty"`

	All []float64 `json:"all,omitempty"` // of each client
}

// serve answers orders until in ends.
func serve(in io.Reader, out io.Writer, do map[string]func(order) (reply, error)) error {
	answers := json.NewEncoder(out)
	for orders := json.NewDecoder(in); ; {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		what, ok := do[o.Op]
		if !ok {
			return fmt.Errorf("there is no %q", o.Op)
		}
		r, err := what(o)
		if err != nil {
			r.Error = err.Error()
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}
