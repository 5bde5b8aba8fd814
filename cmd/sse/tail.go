package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"example.org/sse"
)

type tailCommand struct {
	endpoint
	JSON bool `name:"json" xor:"format" help:"Print each event as a line of JSON: time, type, id, data, retry."`
	Raw  bool `xor:"format" help:"Print fields and comments as an event stream has them."`

	Method      string `short:"X" placeholder:"METHOD" help:"The request's method. [GET; with --data POST]"`
	Data        string `placeholder:"TEXT" help:"The request's body: text, @FILE, or - for standard input."`
	LastEventID string `name:"last-event-id" placeholder:"ID" help:"Ask for what follows this event."`

	Until   string        `placeholder:"TYPE" help:"End after an event of this type."`
	Count   int           `short:"n" placeholder:"COUNT" help:"End after so many events."`
	Timeout time.Duration `placeholder:"10s" help:"End after this time."`

	Reconnect   bool          `xor:"reconnect" help:"Come back after a POST, too; that sends the body again."`
	NoReconnect bool          `name:"no-reconnect" xor:"reconnect" help:"End with the first stream."`
	Patience    time.Duration `default:"30s" help:"How long the server may take to begin its answer."`
	Idle        time.Duration `placeholder:"1m" help:"How long the server may be silent until the connection is made anew. [for ever]"`
	MaxEvent    int           `default:"16" placeholder:"MIB" help:"How large an event may be, in MiB."`

	opened int // streams
}

// Help documents the exit codes.
func (*tailCommand) Help() string {
	return `When the stream ends, it is asked for again, with the id of the last event; what requests other than GET begin is not, unless --reconnect says so.

Exit codes:

  0    as asked for: --until or -n was met, or there was nothing to wait for
       and the stream, or --timeout, came to its end
  1    the stream could not be opened, failed, or ended before --until or -n
  2    the command line is wrong
  3    --timeout came before --until or -n
  130  interrupted`
}

// Why tail stops reading, as the context's cause.
var (
	errTimeIsOver = exitError{errors.New("time is over"), exitTimeout}
	errNotOpened  = errors.New("the stream could not be opened")
)

// Run follows the stream.
func (c *tailCommand) Run(ctx context.Context, s *streams) error {
	if c.Count < 0 || c.MaxEvent < 1 {
		return usage("-n and --max-event take positive numbers")
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errTimeIsOver)
		defer cancel()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := c.client(s, cancel)
	if err != nil {
		return err
	}
	printer := c.printer(s)
	client.OnComment = printer.comment
	seen := 0
	for event, err := range client.Events(ctx) {
		if err != nil {
			return c.explain(err)
		}
		if err := printer.event(event); err != nil {
			return err
		}
		if seen++; seen == c.Count || c.Until != "" && event.Type == c.Until {
			return nil
		}
	}
	if c.waits() {
		return fmt.Errorf("the stream ended before %s", c.goal())
	}
	return nil
}

// waits reports whether the end of the stream is not what tail is to wait for.
func (c *tailCommand) waits() bool { return c.Until != "" || c.Count > 0 }

func (c *tailCommand) goal() string {
	if c.Until != "" {
		return fmt.Sprintf("an event of type %q", c.Until)
	}
	return fmt.Sprintf("event %d", c.Count)
}

// client returns the client that follows the stream. It gives up by cancel.
func (c *tailCommand) client(s *streams, cancel context.CancelCauseFunc) (*sse.Client, error) {
	url, err := c.url()
	if err != nil {
		return nil, err
	}
	header, err := c.header()
	if err != nil {
		return nil, err
	}
	client := &sse.Client{
		URL:         url,
		HTTPClient:  &http.Client{Transport: c.transport(c.Patience)},
		Method:      c.Method,
		Header:      header,
		ResumeAfter: c.LastEventID,
		IdleTimeout: c.Idle,
		MaxEvent:    c.MaxEvent << 20,
	}
	if c.Data != "" {
		if client.GetBody, err = c.body(s.in, header); err != nil {
			return nil, err
		}
	}
	get := client.GetBody == nil && c.Method == "" || strings.EqualFold(c.Method, http.MethodGet)
	if c.NoReconnect || !get && !c.Reconnect {
		client.Retry = -1
	}
	client.OnOpen = func(*http.Response) {
		if c.opened++; c.opened > 1 {
			s.sayf("the stream is open again")
		}
	}
	// A browser tries for ever. People want to know at once that nothing is there.
	client.OnError = func(err error, wait time.Duration) {
		if c.opened == 0 {
			cancel(fmt.Errorf("%w: %w", errNotOpened, err))
			return
		}
		if err == io.EOF { //nolint:errorlint // the regular end, and nothing that wraps it
			err = errors.New("the stream ended")
		}
		s.sayf("%v; coming back in %v", err, wait.Round(time.Millisecond))
	}
	return client, nil
}

// body returns what makes the request's body, each time anew.
func (c *tailCommand) body(in io.Reader, header http.Header) (func() (io.Reader, error), error) {
	data, err := []byte(c.Data), error(nil)
	if c.Data == "-" {
		data, err = io.ReadAll(in)
	} else if name, ok := strings.CutPrefix(c.Data, "@"); ok {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, usage("--data: %w", err)
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		if text := bytes.TrimSpace(data); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			header.Set("Content-Type", "application/json")
		}
	}
	return func() (io.Reader, error) { return bytes.NewReader(data), nil }, nil
}

// explain adds to an error of the loop what to do about it.
func (c *tailCommand) explain(err error) error {
	var answer *sse.ResponseError
	switch {
	case errors.Is(err, errTimeIsOver) && c.waits():
		return exitError{fmt.Errorf("%v passed without %s", c.Timeout, c.goal()), exitTimeout}
	case errors.Is(err, errTimeIsOver) && c.opened > 0:
		return nil
	case errors.Is(err, errTimeIsOver):
		return fmt.Errorf("%w: no answer in %v\n     sse doctor %s tells more", errNotOpened, c.Timeout, c.URL)
	case errors.Is(err, sse.ErrTooLarge):
		return fmt.Errorf("%w; --max-event raises the limit of %d MiB", err, c.MaxEvent)
	case errors.As(err, &answer) || errors.Is(err, errNotOpened):
		return fmt.Errorf("%w\n     sse doctor %s tells more", err, c.URL)
	}
	return err
}

func (c *tailCommand) printer(s *streams) printer {
	w := bufio.NewWriter(s.out)
	switch {
	case c.JSON:
		return &jsonPrinter{w}
	case c.Raw:
		return &rawPrinter{w, c.LastEventID}
	}
	return &prettyPrinter{w, s.palette(s.out)}
}
