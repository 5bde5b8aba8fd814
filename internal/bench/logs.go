//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"example.org/sse/internal/bench/logs"
	"example.org/sse/internal/bench/machine"
)

// logsCommand has the flags whose zero value is the short form, or, with Full,
// the long one.
type logsCommand struct {
	Full      bool          `help:"The form whose results are published: about ten minutes on two cores. The short one takes two."`
	Logs      []string      `help:"What to measure, of ${logs}; separated by semicolons. [all]" sep:";"`
	Followers []int         `help:"How many hubs there are on a log. [1,3,10]"`
	Callers   []int         `help:"How many callers dispatch at once. [1,16,256]"`
	Back      []int         `help:"How many clients come back at once. [2000; full: 2000,5000,10000]"`
	Repeats   int           `help:"How often all of it is measured. [1; full: 3]"`
	For       time.Duration `help:"How long events are dispatched. [1s; full: 2s]"`
	JSON      string        `help:"The file for the results." name:"json" type:"path"`
	Command   string        `help:"What the report names as the command. [this one]"`
}

func (c *logsCommand) plan() (logs.Plan, error) {
	p := logs.Plan{
		Engines:   logs.Engines,
		Followers: []int{1, 3, 10},
		Callers:   []int{1, 16, 256},
		Back:      []int{2000},
		Rounds:    1,
		For:       time.Second,
		Say:       func(line string) { fmt.Fprintln(os.Stderr, line) },
	}
	if c.Full {
		p.Rounds, p.For = 3, 2*time.Second
		p.Back = []int{2000, 5000, 10000}
	}
	if len(c.Followers) > 0 {
		p.Followers = c.Followers
	}
	if len(c.Callers) > 0 {
		p.Callers = c.Callers
	}
	if len(c.Back) > 0 {
		p.Back = c.Back
	}
	p.Rounds = cmp.Or(c.Repeats, p.Rounds)
	p.For = cmp.Or(c.For, p.For)
	if len(c.Logs) > 0 {
		p.Engines = nil
	}
	for _, name := range c.Logs {
		e, err := logs.Find(name)
		if err != nil {
			return p, err
		}
		p.Engines = append(p.Engines, e)
	}
	self, err := os.Executable()
	p.Self = []string{self, "part"}
	return p, err
}

// Run measures.
func (c *logsCommand) Run(ctx context.Context) error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	before, err := load()
	if err != nil {
		return err
	}
	results := &logs.Results{
		Date:    time.Now(),
		Command: cmp.Or(c.Command, "bench "+strings.Join(os.Args[1:], " ")),
		Machine: machine.Describe(),
	}
	if results.Results, err = p.Run(ctx); err != nil {
		return err
	}
	after, err := load()
	if err != nil {
		return err
	}
	results.Load = before + " before and " + after + " after"
	if c.JSON != "" {
		if err := results.Save(c.JSON); err != nil {
			return err
		}
	}
	return results.Print(os.Stdout)
}

// load returns the machine's load averages.
func load() (string, error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(string(b))[:3], ", "), nil
}

type logsReportCommand struct {
	Results string `arg:"" help:"What bench logs --json wrote." type:"existingfile"`
	Into    string `help:"The file whose tables are replaced." default:"BENCHMARKS.md"`
}

// Run writes the report.
func (c *logsReportCommand) Run() error {
	results, err := logs.Load(c.Results)
	if err != nil {
		return err
	}
	return results.Write(c.Into)
}

// partCommand is a process that a run of logs starts.
type partCommand struct {
	Name string `arg:""`
	Arg  string `arg:"" optional:""`
}

// Run plays the part.
func (c *partCommand) Run(ctx context.Context) error {
	return logs.Play(ctx, c.Name, c.Arg, io.Reader(os.Stdin), os.Stdout)
}
