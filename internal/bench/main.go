//go:build linux

// Command bench measures how servers send the same events to many clients: this
// library, the bare limit, and other packages that Go programs use. CONTRIBUTING.md
// says how to run it, and BENCHMARKS.md has what it found.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"example.org/sse/internal/bench/logs"
	"example.org/sse/internal/bench/pages"
	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/bench/rivals"
	"example.org/sse/internal/bench/subject"
)

type commands struct {
	Run    runCommand    `cmd:"" help:"Measure servers, each in its own process."`
	Logs   logsCommand   `cmd:"" help:"Measure the cost of a log that processes share, and all clients reconnecting at once."`
	Pages  pagesCommand  `cmd:"" help:"Measure compressed streams."`
	Report reportCommand `cmd:"" help:"Write the tables and plots of results into a file."`
}

func main() {
	process.Play(map[string]any{
		"server": new(rivals.Server),
		"node":   new(logs.Node), "nats": new(logs.NATS),
		"pages": new(pages.Server), "readers": new(pages.Clients),
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	k := kong.Parse(new(commands),
		kong.Name("bench"),
		kong.Description("Measures how servers send the same events to many clients."),
		kong.UsageOnError(),
		kong.Vars{
			"subjects": strings.Join(subject.Names(), ", "),
			"measures": strings.Join(rivals.Measures, ", "),
			"logs":     strings.Join(logs.Names(), "; "),
			"pages":    strings.Join(pages.Names(), "; "),
		},
		kong.BindTo(ctx, (*context.Context)(nil)))
	k.FatalIfErrorf(k.Run())
}

// common are the flags of what measures. Their zero values are the short form, or with
// Full the long one.
type common struct {
	Full    bool          `help:"The form whose results are published. The short one, of a minute or two, is for trying a change."`
	Repeats int           `help:"Number of rounds. [1; full or baseline: 3; pages: 3, full: 15]"`
	For     time.Duration `help:"How long events are dispatched. [2s; logs: 1s, full: 2s; baseline: 500ms, ten times; pages: 200ms, full: 600ms]"`
	JSON    string        `help:"The file for the results." name:"json" type:"path"`
	Command string        `help:"The command that the report names. [this one]"`
}

// A plan is what is to be measured.
type plan interface {
	Rows() []report.Row
	Run(ctx context.Context, found func(report.Result)) error
}

// measure measures, and saves and prints the results.
func (c *common) measure(ctx context.Context, kind string, p plan) error {
	r := &report.Results{Kind: kind, Date: time.Now(), Machine: process.Machine(), Load: process.Load() + " before", Rows: p.Rows()}
	r.Command = cmp.Or(c.Command, "bench "+strings.Join(os.Args[1:], " "))
	err := p.Run(ctx, func(one report.Result) {
		fmt.Fprintln(os.Stderr, one)
		r.Results = append(r.Results, one)
	})
	if err != nil {
		return err
	}
	r.Load += " and " + process.Load() + " after"
	if c.JSON != "" {
		if err := r.Save(c.JSON); err != nil {
			return err
		}
	}
	text, err := r.Text("", "")
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

type runCommand struct {
	common   `embed:""`
	Subjects []string `help:"What to measure, of ${subjects}. [all; baseline: loop,detached,attached]"`
	Measures []string `help:"What to measure of it, of ${measures}. [one,flat,idle,shutdown; full: all]"`
	Streams  []int    `help:"How many streams get the events. [1000; full or baseline: 1000,8000]"`
	Sizes    []int    `help:"Bytes of data in an event. [100; full: 100,1024]"`
	Baseline string   `help:"This program with another version of the library, to compare with. ci/bench-compare.sh builds it." type:"existingfile"`
}

// Run measures.
func (c *runCommand) Run(ctx context.Context) error {
	p := rivals.Plan{
		Baseline: c.Baseline,
		Measures: []string{"one", "flat", "idle", "shutdown"},
		Streams:  []int{1000},
		Sizes:    []int{100},
		Leaving:  1000,
		Repeats:  1,
		For:      2 * time.Second,
		Stalled:  6 * time.Second,
		Idle:     35 * time.Second, // the default interval, and a little
		Patience: 2 * time.Second,
	}
	names := subject.Names()
	switch {
	case c.Full:
		p.Measures = rivals.Measures
		p.Streams, p.Sizes = []int{1000, 8000}, []int{100, 1024}
		p.Crowd, p.Leaving, p.Repeats = 18000, 10000, 3
		p.Stalled, p.Idle, p.Patience = 12*time.Second, time.Minute, 10*time.Second
	case c.Baseline != "":
		p.Measures, p.Streams, p.Repeats = []string{"idle", "one", "flat"}, []int{1000, 8000}, 3
		p.Slices, p.For = 10, time.Second/2
		names = []string{subject.Limit, "detached", "attached"}
	}
	if len(c.Streams) > 0 {
		p.Crowd = 0
	}
	p.Measures, p.Streams, p.Sizes = or(c.Measures, p.Measures), or(c.Streams, p.Streams), or(c.Sizes, p.Sizes)
	p.Repeats, p.For = cmp.Or(c.Repeats, p.Repeats), cmp.Or(c.For, p.For)
	for _, name := range or(c.Subjects, names) {
		s, err := subject.Find(name)
		if err != nil {
			return err
		}
		p.Subjects = append(p.Subjects, s)
	}
	for _, m := range p.Measures {
		if !slices.Contains(rivals.Measures, m) {
			return fmt.Errorf("unknown measure %q; the measures are %s", m, strings.Join(rivals.Measures, ", "))
		}
	}
	return c.measure(ctx, "rivals", p)
}

type logsCommand struct {
	common `embed:""`
	Logs   []string `help:"What to measure, of ${logs}; separated by semicolons. [all]" sep:";"`
}

// Run measures.
func (c *logsCommand) Run(ctx context.Context) error {
	p := logs.Plan{
		Hubs:    []int{2, 1, 3, 10},
		Callers: []int{1, 16, 256},
		Clients: []int{2000},
		Rounds:  1,
		For:     time.Second,
	}
	if c.Full {
		p.Clients, p.Rounds, p.For = []int{2000, 5000, 10000}, 3, 2*time.Second
	}
	p.Rounds, p.For = cmp.Or(c.Repeats, p.Rounds), cmp.Or(c.For, p.For)
	for _, name := range or(c.Logs, logs.Names()) {
		e, err := logs.Find(name)
		if err != nil {
			return err
		}
		p.Engines = append(p.Engines, e)
	}
	return c.measure(ctx, "logs", p)
}

type pagesCommand struct {
	common   `embed:""`
	Subjects []string `help:"What to measure, of ${pages}; separated by semicolons. [all to 100 streams, and identity, gzip and zstd to more]" sep:";"`
	Streams  []int    `help:"How many streams get the events. [100; full: 100,1000,8000]"`
	Sizes    []int    `help:"Bytes of data in an event. [20000,59000; full, to more than 100 streams: 223,742,39000]"`
}

// Run measures.
func (c *pagesCommand) Run(ctx context.Context) error {
	p := pages.Plan{Rounds: cmp.Or(c.Repeats, 3), For: cmp.Or(c.For, 200*time.Millisecond)}
	streams := []int{100}
	if c.Full {
		p.Rounds, p.For = cmp.Or(c.Repeats, 15), cmp.Or(c.For, 600*time.Millisecond)
		streams = []int{100, 1000, 8000}
	}
	for _, n := range or(c.Streams, streams) {
		a := pages.Audience{Measure: "pages", Streams: n, Sizes: []int{20_000, 59_000}}
		if n > 100 { // a compressor for each would need gigabytes
			a.Measure, a.Sizes, a.Subjects = "shared", []int{223, 742, 39_000}, []string{"identity", "gzip", "zstd"}
		}
		a.Sizes, a.Subjects = or(c.Sizes, a.Sizes), or(c.Subjects, a.Subjects)
		p.Audiences = append(p.Audiences, a)
	}
	return c.measure(ctx, "pages", p)
}

func or[E any](flag, otherwise []E) []E {
	if len(flag) > 0 {
		return flag
	}
	return otherwise
}

type reportCommand struct {
	Results string `arg:"" help:"What --json wrote." type:"existingfile"`
	Into    string `help:"The file whose tables are replaced." default:"BENCHMARKS.md"`
	Plots   string `help:"The folder for the plots, relative to it." default:"docs/bench"`
}

// Run writes the report.
func (c *reportCommand) Run() error {
	r, err := report.Load(c.Results)
	if err != nil {
		return err
	}
	return r.Write(c.Into, c.Plots)
}
