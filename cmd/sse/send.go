package main

import (
	"bufio"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"example.org/sse"
)

type sendCommand struct {
	Addr string `arg:"" help:"Where to serve: host:port, or :port for all interfaces."`

	JSON      bool          `name:"json" help:"Each line is an object with type, data, id, retry (in milliseconds), all optional. Data that is no string is sent as JSON."`
	Type      string        `placeholder:"TYPE" help:"The type of the events. [message]"`
	History   int           `default:"100" placeholder:"LINES" help:"How many of the last lines a new client gets; one that comes back gets what it missed of these."`
	CORS      string        `name:"cors" placeholder:"ORIGIN" help:"Let pages of this origin read the stream, such as https://example.org, or * for all."`
	Wait      int           `placeholder:"CLIENTS" help:"Read no line before so many clients are there."`
	Exit      bool          `help:"End with the input, instead of waiting for an interrupt."`
	KeepAlive time.Duration `default:"30s" help:"Send a comment after so long without a line."`
}

// Help tells what is served.
func (*sendCommand) Help() string {
	return `The stream is at /events, and / is a page that shows it. An interrupt ends all streams after what was read.

Exit codes: 0 after an interrupt or, with --exit, the end of the input; 1 if the address cannot be served or the input read; 2 if the command line is wrong.`
}

// maxLine is how long a line may be.
const maxLine = 16 << 20

//go:embed page.html
var page []byte

// Run serves what it reads.
func (c *sendCommand) Run(ctx context.Context, s *streams) error {
	events, shown, err := c.feeds()
	if err != nil {
		return err
	}
	l, err := c.listen()
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: c.handler(events, shown), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	port := l.Addr().(*net.TCPAddr).Port
	s.sayf("serving http://localhost:%d/events, which http://localhost:%[1]d/ shows", port)

	// The reader is not waited for: it may be in a read that ends with the
	// process alone.
	read := make(chan error, 1)
	go func() {
		err := events.await(ctx, c.Wait)
		if err == nil {
			err = c.read(bufio.NewScanner(s.in), events, shown)
		}
		read <- err
	}()
	for wait := true; wait; {
		select {
		case err = <-served:
			return err
		case err = <-read:
			if wait = err == nil && !c.Exit; wait {
				s.sayf("the input is at its end; an interrupt (Ctrl-C) ends the streams")
				read = nil
			}
		case <-ctx.Done():
			wait = false
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if errors.Is(err, context.Canceled) {
		err = nil // interrupted while waiting for clients
	}
	return errors.Join(err, sse.Shutdown(grace, srv))
}

func (c *sendCommand) feeds() (events, shown *feed, err error) {
	if c.History < 0 || c.Wait < 0 {
		return nil, nil, usage("--history and --wait take no negative numbers")
	}
	o := &sse.AcceptOptions{KeepAlive: c.KeepAlive}
	events, shown = newFeed(c.History, o), newFeed(c.History, o)
	if err := errors.Join(events.begin(c.Type), shown.begin("")); err != nil {
		return nil, nil, usage("--type: %w", err)
	}
	return events, shown, nil
}

func (c *sendCommand) listen() (net.Listener, error) {
	if !strings.Contains(c.Addr, ":") {
		return nil, usage("%q is no address; write it like :8080 or localhost:8080", c.Addr)
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another port, or :0 for any", err)
	}
	return l, nil
}

func (c *sendCommand) handler(events, shown http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/events", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.CORS != "" {
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", c.CORS)
			h.Set("Access-Control-Allow-Headers", "Cache-Control, Last-Event-ID")
			h.Set("Vary", "Origin")
		}
		events.ServeHTTP(w, r)
	}))
	mux.Handle("/shown", shown)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	return mux
}

// read dispatches what it reads: to shown, whose page cannot listen to types
// that it does not know, as JSON.
func (c *sendCommand) read(lines *bufio.Scanner, events, shown *feed) error {
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		e := sse.Event{Type: c.Type, Data: lines.Text()}
		if c.JSON {
			if strings.TrimSpace(e.Data) == "" {
				continue
			}
			var err error
			if e, err = c.parse(lines.Bytes()); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		e, err := events.dispatch(e)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		copied, err := sse.JSON(map[string]string{"type": cmp.Or(e.Type, "message"), "id": e.ID, "data": e.Data})
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if _, err := shown.dispatch(sse.Event{Data: copied}); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d has more than %d MiB, which is the most", n+1, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("reading the input: %w", err)
	}
	return nil
}

// parse returns the event of a line of JSON.
func (c *sendCommand) parse(line []byte) (sse.Event, error) {
	var fields struct {
		Type  string          `json:"type"`
		ID    string          `json:"id"`
		Data  json.RawMessage `json:"data"`
		Retry int64           `json:"retry"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return sse.Event{}, fmt.Errorf("no JSON object of an event, such as {\"type\": \"note\", \"data\": \"hello\"}: %w", err)
	}
	e := sse.Event{
		Type:  cmp.Or(fields.Type, c.Type),
		ID:    fields.ID,
		Data:  string(fields.Data),
		Retry: time.Duration(fields.Retry) * time.Millisecond,
	}
	if len(fields.Data) > 0 && fields.Data[0] == '"' {
		if err := json.Unmarshal(fields.Data, &e.Data); err != nil {
			return e, err
		}
	}
	return e, nil
}
