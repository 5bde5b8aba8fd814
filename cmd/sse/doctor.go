package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

type doctorCommand struct {
	endpoint
	Wait time.Duration `default:"35s" help:"How long to watch a silent stream for a keep-alive."`
	JSON bool          `name:"json" help:"Print the findings as JSON."`
}

// Help documents the requests, and the exit codes.
func (*doctorCommand) Help() string {
	return `Doctor requests the stream as a browser does, watches it, and requests it again with the id of an event, with another Accept-Encoding if it is compressed, and with HEAD and OPTIONS. With --data, or a method except GET, it only makes that request, and OPTIONS. It marks each finding (✓ good, ! consider, ✗ broken) and says how to fix it.

Exit codes: 0 if nothing is broken, 1 if something is, 2 if the command line is invalid.` + helpOfRequests
}

// A level is the severity of a finding.
type level string

const (
	fine   level = "ok"
	minor  level = "warning"
	broken level = "broken"
)

// A finding is the result of one check.
type finding struct {
	Check string `json:"check"`
	Level level  `json:"level"`
	Seen  string `json:"seen"`
	Fix   string `json:"fix,omitempty"`
}

// A diagnosis is the list of findings, as --json prints it.
type diagnosis struct {
	URL      string    `json:"url"`
	OK       bool      `json:"ok"`
	Findings []finding `json:"findings"`
}

func (d *diagnosis) add(check string, l level, seen, fix string) {
	d.Findings = append(d.Findings, finding{check, l, masked(seen), fix})
	d.OK = d.OK && l != broken
}

// Run examines the stream.
func (c *doctorCommand) Run(ctx context.Context, s *streams) error {
	if c.Wait <= 0 {
		return usage("--wait must be positive")
	}
	target, err := c.target(s, 0, false)
	if err != nil {
		return err
	}
	x := &examiner{ctx: ctx, target: target, wait: c.Wait}
	d := &diagnosis{URL: target.shown, OK: true}
	if isTerminal(s.err) {
		s.logf("examining the stream for up to %v", c.Wait)
	}
	x.examine(d)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(d)
	} else {
		err = d.write(s.out, s.palette(s.out), widthOf(s.out))
	}
	if err == nil && !d.OK {
		err = errReported
	}
	return err
}

// write prints the findings in lines of at most the given width.
func (d *diagnosis) write(w io.Writer, p palette, width int) error {
	const indent = 15 // of the texts
	width = max(width, 50)
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
		seen := strings.TrimLeft(wrap(printable(f.Seen), indent, width), " ")
		fmt.Fprintf(&b, "%s %-*s %s", paint(mark), indent-3, f.Check, seen)
		if f.Fix != "" {
			b.WriteString(p.dim(wrap(f.Fix, indent, width)))
		}
	}
	fmt.Fprintf(&b, "\n%d ✓  %d !  %d ✗\n", count[fine], count[minor], count[broken])
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks text into indented lines of at most the given width.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		length := utf8.RuneCountInString(word)
		switch {
		case column == 0 || column+1+length > width:
			if column > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat(" ", indent) + word)
			column = indent + length
		default:
			b.WriteString(" " + word)
			column += 1 + length
		}
	}
	return b.String() + "\n"
}
