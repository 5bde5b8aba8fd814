package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.org/sse"
)

// A printer prints events as they arrive, without buffering.
type printer interface {
	event(sse.Event) error
	comment(string)
	reconnecting(reason string, wait time.Duration) // after a stream has ended
	reconnected()
}

// A prettyPrinter prints events for people to read.
type prettyPrinter struct {
	w *bufio.Writer
	palette
}

func (p *prettyPrinter) event(e sse.Event) error {
	head := []string{p.dim(time.Now().Format("15:04:05.000")), p.name(printable(e.Type))}
	if e.ID != "" {
		head = append(head, p.dim(printable(e.ID)))
	}
	if e.Retry > 0 {
		head = append(head, p.dim("retry "+e.Retry.String()))
	}
	data := printable(e.Data)
	if strings.Contains(data, "\n") { // indented, so that no line looks like a head
		data = "\n  " + strings.ReplaceAll(data, "\n", "\n  ")
	} else {
		data = "  " + data
	}
	p.w.WriteString(strings.Join(head, " ") + data + "\n") //nolint:errcheck // Flush returns it
	return p.w.Flush()
}

func (*prettyPrinter) comment(string)                     {}
func (*prettyPrinter) reconnecting(string, time.Duration) {}
func (*prettyPrinter) reconnected()                       {}

// A jsonPrinter prints each event as a line of JSON, and comments and reconnections
// as lines without a type.
type jsonPrinter struct{ w *bufio.Writer }

// An eventJSON is an event as tail prints it.
type eventJSON struct {
	Time  time.Time `json:"time"`
	Type  string    `json:"type"`
	ID    string    `json:"id,omitempty"`
	Data  string    `json:"data"`
	Retry int64     `json:"retry,omitempty"` // milliseconds
}

// A commentJSON is a comment as tail prints it.
type commentJSON struct {
	Time    time.Time `json:"time"`
	Comment string    `json:"comment"`
}

// A stateJSON is a reconnection as tail prints it.
type stateJSON struct {
	Time   time.Time `json:"time"`
	State  string    `json:"state"` // "reconnecting", then "open"
	Reason string    `json:"reason,omitempty"`
	Wait   int64     `json:"wait,omitempty"` // milliseconds
}

func (p *jsonPrinter) line(v any) error {
	encoder := json.NewEncoder(p.w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	return p.w.Flush()
}

func (p *jsonPrinter) event(e sse.Event) error {
	return p.line(eventJSON{time.Now(), e.Type, e.ID, e.Data, e.Retry.Milliseconds()})
}

// The next event's line returns the error of these as well.

func (p *jsonPrinter) comment(text string) {
	p.line(commentJSON{time.Now(), text}) //nolint:errcheck // see above
}

func (p *jsonPrinter) reconnecting(reason string, wait time.Duration) {
	p.line(stateJSON{time.Now(), "reconnecting", masked(reason), wait.Milliseconds()}) //nolint:errcheck // see above
}

func (p *jsonPrinter) reconnected() {
	p.line(stateJSON{Time: time.Now(), State: "open"}) //nolint:errcheck // see above
}

// A rawPrinter prints events in event stream format. It prints an id only when
// the id changes, so that it adds no id that was not sent.
type rawPrinter struct {
	w  *bufio.Writer
	id string
}

func (p *rawPrinter) event(e sse.Event) error {
	if e.ID != p.id {
		p.field("id", e.ID)
		p.id = e.ID
	}
	if e.Type != "message" {
		p.field("event", e.Type)
	}
	if e.Retry > 0 {
		p.field("retry", fmt.Sprint(e.Retry.Milliseconds()))
	}
	for line := range strings.SplitSeq(e.Data, "\n") {
		p.field("data", line)
	}
	p.w.WriteString("\n") //nolint:errcheck // Flush returns it
	return p.w.Flush()
}

func (p *rawPrinter) field(name, value string) {
	p.w.WriteString(name + ": " + value + "\n") //nolint:errcheck // Flush returns it
}

func (p *rawPrinter) comment(text string) {
	p.w.WriteString(":" + text + "\n") //nolint:errcheck // Flush returns it
	p.w.Flush()                        //nolint:errcheck // the next event's Flush returns it too
}

func (*rawPrinter) reconnecting(string, time.Duration) {}
func (*rawPrinter) reconnected()                       {}
