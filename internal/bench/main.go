//go:build linux

// Command bench measures how servers send the same events to many clients: this
// library, the bare limit, and what else Go programs use. CONTRIBUTING.md tells
// how to run it, BENCHMARKS.md what it found.
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"

	"github.com/alecthomas/kong"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/driver"
	"example.org/sse/internal/bench/logs"
	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/bench/server"
	"example.org/sse/internal/bench/subject"
)

type commands struct {
	Run    runCommand        `cmd:"" help:"Measure, in processes of their own for each server and its clients."`
	Report reportCommand     `cmd:"" help:"Write the tables and plots of what was measured."`
	Logs   logsCommand       `cmd:"" help:"Measure what it costs that processes share a log, and that all clients come back at once."`
	Tables logsReportCommand `cmd:"" name:"logs-report" help:"Write the tables of what logs measured."`
	Server serverCommand     `cmd:"" hidden:""`
	Part   partCommand       `cmd:"" hidden:""`
	Client clientCommand     `cmd:"" hidden:""`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	k := kong.Parse(new(commands),
		kong.Name("bench"),
		kong.Description("Measures how servers send the same events to many clients."),
		kong.UsageOnError(),
		kong.Vars{"subjects": joined(subject.Names()), "measures": joined(measureNames()), "logs": strings.Join(logs.Names(), "; ")},
		kong.BindTo(ctx, (*context.Context)(nil)))
	k.FatalIfErrorf(k.Run())
}

type reportCommand struct {
	Results string `arg:"" help:"What bench run --json wrote." type:"existingfile"`
	Into    string `help:"The file whose tables are replaced." default:"BENCHMARKS.md"`
	Plots   string `help:"The folder for the plots." default:"docs/bench"`
}

// Run writes the report.
func (c *reportCommand) Run() error {
	results, err := driver.Load(c.Results)
	if err != nil {
		return err
	}
	return report.Write(results, c.Into, c.Plots)
}

// serverCommand is a process that the driver starts.
type serverCommand struct {
	Subject string `arg:""`
}

// Run serves.
func (c *serverCommand) Run(ctx context.Context) error {
	s, err := subject.Find(c.Subject)
	if err != nil {
		return err
	}
	return server.Run(ctx, s, os.Stdin, os.Stdout)
}

// clientCommand is a process that the driver starts.
type clientCommand struct{}

// Run plays the clients.
func (*clientCommand) Run(ctx context.Context) error { return client.Run(ctx, os.Stdin, os.Stdout) }
