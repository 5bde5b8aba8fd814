package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"example.org/sse"
)

type tailCommand struct {
	endpoint
	JSON bool `name:"json" xor:"format" help:"Print each event as a JSON object on one line: time, type, id, data, retry. Comments and reconnections are lines without a type."`
	Raw  bool `xor:"format" help:"Print fields and comments in event stream format."`

	LastEventID string `name:"last-event-id" placeholder:"ID" help:"Resume after the event with this id."`

	Until   string        `placeholder:"TYPE" help:"Stop after an event of this type."`
	Count   int           `short:"n" placeholder:"COUNT" help:"Stop after COUNT events."`
	Timeout time.Duration `placeholder:"DURATION" help:"Stop after this time."`

	Reconnect       bool          `xor:"reconnect" help:"Reconnect whatever the method; this sends the body again."`
	NoReconnect     bool          `name:"no-reconnect" xor:"reconnect,persistent" help:"Stop when the first stream ends."`
	Persistent      bool          `xor:"persistent" help:"Reconnect also if the stream cannot be opened, or the status is 429, 502, 503 or 504."`
	ResponseTimeout time.Duration `default:"30s" help:"Time limit for the server to send its response headers."`
	Idle            time.Duration `placeholder:"DURATION" help:"Reconnect if the server sends nothing for this time (default: never)."`
	MaxEvent        int           `default:"16" placeholder:"MIB" help:"Maximum size of an event in MiB (default: ${default})."`

	opened  int    // streams so far
	shown   string // the URL
	meter   *meter
	printer printer
}

// Help documents reconnecting and the exit codes.
func (*tailCommand) Help() string {
	return `When the stream ends, tail reconnects and resumes after the last event. Only a GET request is repeated, unless --reconnect is set. --persistent is for a server that restarts or is too busy: tail then waits as long as its Retry-After says. If ids were consecutive so far, tail reports those that are missing.

Exit codes:

  0    --until or -n was met; or neither is set, and the stream ended or
       --timeout passed
  1    the stream could not be opened, failed, or ended before --until or -n
       was met
  2    the command line is invalid
  3    --timeout passed before --until or -n was met
  130  interrupted` + helpOfRequests
}

var (
	// errTimeout is the context's cause after --timeout.
	errTimeout = exitError{errors.New("timed out"), exitTimeout}

	errNotOpened = errors.New("the stream could not be opened")
)

// Run prints the stream.
func (c *tailCommand) Run(ctx context.Context, s *streams) error {
	if c.Count < 0 || c.MaxEvent < 1 {
		return usage("-n and --max-event must be positive")
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
		defer cancel()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := c.client(s, cancel)
	if err != nil {
		return err
	}
	if c.Verbose {
		defer func() { s.logf("compression: %v", c.meter.compression()) }()
	}
	c.printer = c.newPrinter(s, client.ResumeAfter)
	client.OnComment = c.printer.comment
	seen, ids := 0, new(sequence)
	for event, err := range client.Events(ctx) {
		if err != nil {
			return c.explain(err)
		}
		if err := c.printer.event(event); err != nil {
			return err
		}
		reportJump(s, ids, event)
		if seen++; seen == c.Count || c.Until != "" && event.Type == c.Until {
			return nil
		}
	}
	if c.opened == 0 || client.Retry >= 0 { // otherwise it is the end of the only stream
		s.logf("%v", errNoMore)
	}
	if c.hasGoal() {
		return fmt.Errorf("the stream ended before %s", c.goal())
	}
	return nil
}

// reportJump reports ids that are missing before an event, if all but a few ids so far
// were consecutive.
func reportJump(s *streams, ids *sequence, e sse.Event) {
	const mostly = 20
	before := ids.steps
	_, g := ids.next(e)
	if g != (gap{}) && before.next > mostly*(before.jumps+before.turns) {
		s.logf("the ids jump from %s to %s: %s may have been missed", g.id(g.from), g.id(g.to), plural(int64(g.to-g.from-1), "event"))
	}
}

// hasGoal reports whether tail waits for a certain event.
func (c *tailCommand) hasGoal() bool { return c.Until != "" || c.Count > 0 }

func (c *tailCommand) goal() string {
	if c.Until != "" {
		return fmt.Sprintf("an event of type %q", c.Until)
	}
	return fmt.Sprintf("event %d", c.Count)
}

// client returns the client that reads the stream. It calls cancel if it cannot
// open the first one.
func (c *tailCommand) client(s *streams, cancel context.CancelCauseFunc) (*sse.Client, error) {
	target, err := c.target(s, c.ResponseTimeout, false)
	if err != nil {
		return nil, err
	}
	c.shown, c.meter = target.shown, target.decode()
	client := target.client()
	client.ResumeAfter = cmp.Or(c.LastEventID, client.ResumeAfter)
	client.IdleTimeout = c.Idle
	client.MaxEvent = c.MaxEvent << 20
	if c.NoReconnect || !target.get() && !c.Reconnect {
		client.Retry = -1
	}
	client.RepeatPost, client.Persistent = c.Reconnect, c.Persistent
	client.OnOpen = func(*http.Response) {
		if c.opened++; c.opened > 1 {
			s.logf("reconnected")
			c.printer.reconnected()
		}
	}
	// A browser retries forever. Here a wrong URL is more likely, so that the
	// first failure is reported at once, unless --persistent is set.
	client.OnError = func(err error, wait time.Duration) {
		if c.opened == 0 && !c.Persistent {
			cancel(fmt.Errorf("%w: %w", errNotOpened, inWords(err)))
			return
		}
		if err == io.EOF { //nolint:errorlint // the regular end, and nothing that wraps it
			err = errors.New("the stream ended")
		} else {
			err = inWords(err)
		}
		s.logf("%v; reconnecting in %v", err, wait.Round(time.Millisecond))
		c.printer.reconnecting(err.Error(), wait)
	}
	return client, nil
}

// explain adds advice to an error of the client.
func (c *tailCommand) explain(err error) error {
	var answer *sse.ResponseError
	switch {
	case errors.Is(err, errTimeout) && c.hasGoal():
		return exitError{fmt.Errorf("timed out after %v, before %s", c.Timeout, c.goal()), exitTimeout}
	case errors.Is(err, errTimeout) && c.opened > 0:
		return nil
	case errors.Is(err, errTimeout):
		return fmt.Errorf("%w: no response within %v\n     to diagnose it, run: sse doctor %s", errNotOpened, c.Timeout, shellWord(c.shown))
	case errors.Is(err, sse.ErrTooLarge):
		return fmt.Errorf("%w; --max-event raises the limit of %d MiB", err, c.MaxEvent)
	case errors.Is(err, errInterrupted):
		return err
	case !errors.As(err, &answer) && !errors.Is(err, errNotOpened) && c.opened > 0:
		return fmt.Errorf("the stream failed: %w", inWords(err))
	case !errors.As(err, &answer) && !errors.Is(err, errNotOpened):
		err = fmt.Errorf("%w: %w", errNotOpened, inWords(err))
	}
	return fmt.Errorf("%w\n     to diagnose it, run: sse doctor %s", err, shellWord(c.shown))
}

func (c *tailCommand) newPrinter(s *streams, lastEventID string) printer {
	w := bufio.NewWriter(s.out)
	switch {
	case c.JSON:
		return &jsonPrinter{w}
	case c.Raw:
		return &rawPrinter{w, lastEventID}
	}
	return &prettyPrinter{w, s.palette(s.out)}
}
