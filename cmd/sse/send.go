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
	"reflect"
	"strings"
	"syscall"
	"time"

	"example.org/sse"
)

type sendCommand struct {
	Addr string `arg:"" help:"Address to listen on: host:port, or :port for all interfaces."`

	JSON      bool          `name:"json" help:"Parse each line as a JSON object with optional fields type, data, id and retry (in milliseconds). Data that is not a string is sent as JSON."`
	Type      string        `placeholder:"TYPE" help:"Type of the events (default: message)."`
	History   int           `default:"100" placeholder:"LINES" help:"Number of past lines to send to a new client; a client that reconnects gets those that it missed (default: ${default})."`
	CORS      string        `name:"cors" placeholder:"ORIGIN" help:"Allow pages of this origin to read the stream, such as https://example.org, or * for all."`
	Wait      int           `placeholder:"CLIENTS" help:"Wait for CLIENTS connections before reading input."`
	Exit      bool          `help:"Exit at the end of the input instead of waiting for an interrupt."`
	KeepAlive time.Duration `default:"30s" help:"Send a comment after this time without a line."`
}

// Help documents what is served, and the exit codes.
func (*sendCommand) Help() string {
	return `The stream is served at /events, and a page that shows it at /. A client that is too slow is disconnected, and resumes when it reconnects; send reports the lines that it missed.

An interrupt ends all streams after the lines that were read.

Exit codes: 0 after an interrupt or, with --exit, at the end of the input; 1 if the address cannot be served or the input cannot be read; 2 if the command line is invalid.`
}

// maxLine is the maximum length of a line, in bytes.
const maxLine = 16 << 20

//go:embed page.html
var page []byte

// Run serves the lines of standard input.
func (c *sendCommand) Run(ctx context.Context, s *streams) error {
	events, shown, err := c.sets(s)
	if err != nil {
		return err
	}
	l, err := c.listen()
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: c.handler(events, shown), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(sse.Listener(l)) }()
	origin := c.origin(l.Addr())
	s.logf("serving %s/events; open %[1]s/ to watch it", origin)

	// Nothing waits for this goroutine: a read of standard input cannot be
	// canceled.
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
				s.logf("end of input; press Ctrl-C to end the streams")
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
	return errors.Join(err, srv.Shutdown(grace))
}

// sets returns the set of /events and the set of the page.
func (c *sendCommand) sets(s *streams) (events, shown *historySet, err error) {
	if c.History < 0 || c.Wait < 0 {
		return nil, nil, usage("--history and --wait must not be negative")
	}
	o := &sse.AcceptOptions{KeepAlive: c.KeepAlive}
	events, shown = newHistorySet(c.History, o, s.logf), newHistorySet(c.History, o, s.logf)
	if err := errors.Join(events.begin(c.Type), shown.begin("")); err != nil {
		return nil, nil, usage("--type: %s", plain(err))
	}
	return events, shown, nil
}

func (c *sendCommand) listen() (net.Listener, error) {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return nil, usage("%q is not a valid address; write it like :8080, localhost:8080 or [::1]:8080", c.Addr)
	}
	l, err := net.Listen("tcp", c.Addr)
	if err == nil {
		return l, nil
	}
	why := failureOf(err).what
	_, invalid := errors.AsType[*net.AddrError](err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why = "another program does; choose another port, or 0 for a free one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why = "it is not an address of this machine"
	case errors.Is(err, syscall.EACCES):
		why = "only root may; choose a port from 1024"
	case invalid:
		why = "its port is not a number from 0 to 65535"
	}
	return nil, fmt.Errorf("cannot listen on %s: %s", c.Addr, why)
}

// origin returns the origin of the URLs that a client on this machine can use.
func (c *sendCommand) origin(addr net.Addr) string {
	host, _, err := net.SplitHostPort(c.Addr)
	_, port, err2 := net.SplitHostPort(addr.String())
	if err != nil || err2 != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
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

// read dispatches the lines to both sets. Those for shown are encoded as JSON,
// since its page can only listen to types that it knows in advance.
func (c *sendCommand) read(lines *bufio.Scanner, events, shown *historySet) error {
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
			return fmt.Errorf("line %d: %s", n, plain(err))
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
		return fmt.Errorf("line %d is longer than %d MiB", n+1, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("reading the input: %w", err)
	}
	return nil
}

// jsonError describes why a line of JSON is not an event.
func jsonError(err error) string {
	const wanted = `not a JSON object such as {"type": "note", "data": "hello"}: `
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return wanted + err.Error()
	}
	article := "a "
	if strings.HasPrefix(wrong.Value, "array") || strings.HasPrefix(wrong.Value, "object") {
		article = "an "
	}
	kind := "a whole number"
	switch {
	case wrong.Field == "":
		return wanted + "it is " + article + wrong.Value
	case wrong.Type.Kind() == reflect.String:
		kind = "a string"
	}
	return fmt.Sprintf("%s is %s%s, not %s", wrong.Field, article, wrong.Value, kind)
}

// parse returns the event that a line of JSON describes.
func (c *sendCommand) parse(line []byte) (sse.Event, error) {
	var fields struct {
		Type  string          `json:"type"`
		ID    string          `json:"id"`
		Data  json.RawMessage `json:"data"`
		Retry int64           `json:"retry"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return sse.Event{}, errors.New(jsonError(err))
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
