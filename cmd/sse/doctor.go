package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type doctorCommand struct {
	endpoint
	Wait time.Duration `default:"35s" help:"How long to watch a stream that is silent, for its keep-alive."`
	JSON bool          `name:"json" help:"Print the findings as JSON."`
}

// Help documents the exit codes.
func (*doctorCommand) Help() string {
	return `Asks for the stream as a browser does, watches it for a while, asks again with the id of an event, and with HEAD and OPTIONS. Each finding is marked: ✓ as it should be, ! to consider, ✗ to mend; and says how.

Exit codes: 0 if nothing is to be mended, 1 if something is, 2 if the command line is wrong.`
}

// A level is how serious a finding is.
type level string

const (
	fine   level = "ok"
	minor  level = "warning"
	broken level = "broken"
)

// A finding is what the doctor has to say of one thing.
type finding struct {
	Check string `json:"check"`
	Level level  `json:"level"`
	Saw   string `json:"saw"`
	Mend  string `json:"mend,omitempty"`
}

// A diagnosis is all of them, as --json prints it.
type diagnosis struct {
	URL      string    `json:"url"`
	OK       bool      `json:"ok"`
	Findings []finding `json:"findings"`
}

func (d *diagnosis) add(check string, l level, saw, mend string) {
	d.Findings = append(d.Findings, finding{check, l, saw, mend})
	d.OK = d.OK && l != broken
}

// Run examines the stream.
func (c *doctorCommand) Run(ctx context.Context, s *streams) error {
	if c.Wait <= 0 {
		return usage("--wait takes a positive time")
	}
	url, err := c.url()
	if err != nil {
		return err
	}
	header, err := c.header()
	if err != nil {
		return err
	}
	v := &visit{ctx: ctx, transport: c.transport(0), url: url, header: header, wait: c.Wait}
	d := &diagnosis{URL: url, OK: true}
	if isTerminal(s.err) {
		s.sayf("asking, for up to %v", c.Wait)
	}
	v.examine(d)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(d)
	} else {
		err = d.write(s.out, s.palette(s.out))
	}
	if err == nil && !d.OK {
		err = errReported
	}
	return err
}

func (d *diagnosis) write(w io.Writer, p palette) error {
	var b strings.Builder
	count := make(map[level]int)
	for _, f := range d.Findings {
		count[f.Level]++
		mark, paint := "✓", p.good
		switch f.Level {
		case minor:
			mark, paint = "!", p.warn
		case broken:
			mark, paint = "✗", p.bad
		}
		fmt.Fprintf(&b, "%s %-12s %s\n", paint(mark), f.Check, printable(f.Saw))
		if f.Mend != "" {
			b.WriteString(p.dim(wrapped(f.Mend, 15, 90)))
		}
	}
	fmt.Fprintf(&b, "\n%d ✓  %d !  %d ✗\n", count[fine], count[minor], count[broken])
	_, err := io.WriteString(w, b.String())
	return err
}

// wrapped returns text in lines that begin so far to the right.
func wrapped(text string, indent, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0 || column+1+len(word) > width:
			if column > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat(" ", indent) + word)
			column = indent + len(word)
		default:
			b.WriteString(" " + word)
			column += 1 + len(word)
		}
	}
	return b.String() + "\n"
}

// between returns who, by the headers, stands between: proxies, caches, and
// servers that may be proxies.
func between(headers []http.Header) (names []string) {
	seen := make(map[string]bool)
	for _, h := range headers {
		for _, name := range []string{"Server", "Via", "X-Served-By", "X-Cache", "CF-Ray", "X-Amz-Cf-Id", "X-Envoy-Upstream-Service-Time"} {
			value := h.Get(name)
			if value == "" || seen[name] {
				continue
			}
			seen[name] = true
			names = append(names, name+": "+value)
		}
	}
	return names
}
