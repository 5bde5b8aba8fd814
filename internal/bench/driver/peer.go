//go:build linux

package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"example.org/sse/internal/bench/control"
)

// ErrHangs is the error of what does not go on within the patience that was
// asked for.
var ErrHangs = errors.New("hangs")

// A Process is a server or a client process, or what stands for one in a test.
type Process struct {
	In   io.Writer
	Out  io.Reader
	Kill func() error // ends it, waits for that, and says why it had ended before, if it had
}

// A peer is a process as the driver sees it.
type peer struct {
	process  Process
	w        *control.Writer
	replies  chan control.Reply
	progress chan control.Progress // the newest one; closed at the end
	last     control.Progress      // that await has seen
}

func newPeer(p Process) *peer {
	e := &peer{
		process:  p,
		w:        control.NewWriter(p.In),
		replies:  make(chan control.Reply, 1),
		progress: make(chan control.Progress, 1),
	}
	go e.listen()
	return e
}

func (e *peer) listen() {
	defer close(e.replies)
	defer close(e.progress)
	for replies := json.NewDecoder(e.process.Out); ; {
		var r control.Reply
		if replies.Decode(&r) != nil {
			return
		}
		if r.Progress == nil {
			e.replies <- r
			continue
		}
		select { // the one before it is out of date
		case <-e.progress:
		default:
		}
		e.progress <- *r.Progress
	}
}

// tell asks for something that is not answered.
func (e *peer) tell(r control.Request) error { return e.w.Write(r) }

// ask asks for something and returns the answer.
func (e *peer) ask(r control.Request, patience time.Duration) (control.Reply, error) {
	if err := e.w.Write(r); err != nil {
		return control.Reply{}, err
	}
	return e.answer(string(r.Op), patience)
}

func (e *peer) answer(to string, patience time.Duration) (control.Reply, error) {
	select {
	case r, ok := <-e.replies:
		if !ok {
			return r, fmt.Errorf("%s: the process has ended", to)
		}
		if r.Error != "" {
			return r, errors.New(r.Error)
		}
		return r, nil
	case <-time.After(patience):
		return control.Reply{}, fmt.Errorf("%s: %w", to, ErrHangs)
	}
}

// await waits until the clients are so far. It loses patience when nothing has
// changed for so long.
func (e *peer) await(what string, patience time.Duration, far func(control.Progress) bool) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		switch {
		case e.last.Fault != "":
			return errors.New(e.last.Fault)
		case far(e.last):
			return nil
		}
		select {
		case p, ok := <-e.progress:
			if !ok {
				return fmt.Errorf("%s: the client process has ended", what)
			}
			e.last = p
			timeout.Reset(patience)
		case <-timeout.C:
			return fmt.Errorf("%s: %w", what, ErrHangs)
		}
	}
}
