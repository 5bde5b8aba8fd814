//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"example.org/sse/internal/bench/driver"
	"example.org/sse/internal/bench/machine"
	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/bench/subject"
)

// runCommand has the flags whose zero value is the short form, or, with Full,
// the long one.
type runCommand struct {
	Full       bool             `help:"The form whose results are published: about twenty minutes on two cores. The short one, of a minute, is for trying a change out."`
	Subjects   []string         `help:"What to measure, of ${subjects}. [all]"`
	Measures   []driver.Measure `help:"What to measure of it, of ${measures}. [one, flat, idle, shutdown; full: all]"`
	Streams    []int            `help:"How many streams get the events. [1000; full: 1000,8000]"`
	Sizes      []int            `help:"Bytes of data in an event. [100; full: 100,1024]"`
	Repeats    int              `help:"How often all of it is measured, but for stalled and keepalive. [1; full: 3]"`
	Deliveries int              `help:"Deliveries a second, where there is a rate." default:"40000"`
	For        time.Duration    `help:"How long events are dispatched. [2s]"`
	Baseline   string           `help:"A bench program that was built with another version of the library, to compare with. ci/bench-compare.sh builds it." type:"existingfile"`
	Patience   time.Duration    `help:"How long a server may get nowhere before it is said to hang. [2s; full: 10s]"`
	JSON       string           `help:"The file for the results." name:"json" type:"path"`
	Command    string           `help:"What the report names as the command. [this one]"`
}

// plan returns what the flags ask for.
func (c *runCommand) plan() (driver.Plan, error) {
	p := driver.Plan{
		Measures:   []driver.Measure{driver.One, driver.Flat, driver.Idle, driver.Shutdown},
		Streams:    []int{1000},
		Sizes:      []int{100},
		Leaving:    1000,
		Deliveries: c.Deliveries,
		Repeats:    1,
		For:        2 * time.Second,
		StalledFor: 6 * time.Second,
		KeepAlive:  35 * time.Second, // the default interval, and a little
	}
	if c.Full {
		p.Measures = append(p.Measures, driver.Stalled, driver.KeepAlive)
		p.Streams, p.Sizes = []int{1000, 8000}, []int{100, 1024}
		p.Crowd, p.Leaving = 18000, 10000
		p.Repeats = 3
		p.StalledFor, p.KeepAlive = 12*time.Second, time.Minute
	}
	names := subject.Names()
	if c.Baseline != "" {
		p.Measures = []driver.Measure{driver.One, driver.Flat, driver.Idle}
		p.Streams, p.Repeats = []int{1000, 8000}, 3
		names = []string{subject.Limit, "detached", "attached"}
	}
	if len(c.Measures) > 0 {
		p.Measures = c.Measures
	}
	if len(c.Streams) > 0 {
		p.Streams, p.Crowd = c.Streams, 0
	}
	if len(c.Sizes) > 0 {
		p.Sizes = c.Sizes
	}
	p.Repeats = cmp.Or(c.Repeats, p.Repeats)
	p.For = cmp.Or(c.For, p.For)
	if len(c.Subjects) > 0 {
		names = c.Subjects
	}
	for _, name := range names {
		s, err := subject.Find(name)
		if err != nil {
			return p, err
		}
		if c.Baseline != "" && s.Ours {
			p.Subjects = append(p.Subjects, s.Baseline())
		}
		p.Subjects = append(p.Subjects, s)
	}
	for _, m := range p.Measures {
		if !slices.Contains(driver.Measures, m) {
			return p, fmt.Errorf("no measure is called %q; the measures are %s", m, joined(measureNames()))
		}
	}
	return p, nil
}

// Run measures.
func (c *runCommand) Run(ctx context.Context) error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	if c.Patience == 0 {
		if c.Patience = 2 * time.Second; c.Full {
			c.Patience = 10 * time.Second
		}
	}
	d := &driver.Driver{Start: starter(c.Baseline), Patience: c.Patience}
	results := &driver.Results{
		Date:    time.Now(),
		Command: cmp.Or(c.Command, "bench "+strings.Join(os.Args[1:], " ")),
		Machine: machine.Describe(),
	}
	rounds := p.Sessions()
	show := newProgress(os.Stderr, rounds)
	for i, sessions := range rounds {
		for _, s := range sessions {
			show.begin(s)
			found := d.Run(ctx, s)
			if err := ctx.Err(); err != nil {
				return err
			}
			for j := range found {
				found[j].Round = i
			}
			results.Results = append(results.Results, found...)
			show.end(s, found)
		}
	}
	show.close()
	if c.JSON != "" {
		if err := results.Save(c.JSON); err != nil {
			return err
		}
	}
	return report.Print(os.Stdout, results)
}

func measureNames() []string {
	var names []string
	for _, m := range driver.Measures {
		names = append(names, string(m))
	}
	return names
}

func joined(names []string) string { return strings.Join(names, ", ") }
