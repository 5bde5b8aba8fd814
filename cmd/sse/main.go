// Command sse follows, serves, measures and examines server-sent event streams.
//
//	sse tail https://example.org/events
//	tail -f log | sse send :8080
//	sse bench -c 100 -d 10s localhost:8080/events
//	sse doctor https://example.org/events
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

type commands struct {
	Tail       tailCommand               `cmd:"" help:"Print a stream's events as they come."`
	Send       sendCommand               `cmd:"" help:"Serve the lines of standard input as a stream."`
	Bench      benchCommand              `cmd:"" help:"Open many streams of one URL, and measure what comes."`
	Doctor     doctorCommand             `cmd:"" help:"Find out what is wrong with a stream, or stands between you and it."`
	Completion kongcompletion.Completion `cmd:"" help:"Print what makes your shell complete this command line."`

	Color string `enum:"auto,always,never" default:"auto" help:"Colors: ${enum}. Automatic ones are for terminals, and heed NO_COLOR."`
}

// The exit codes, besides 0. They are documented in helpOf.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitTimeout     = 3
	exitInterrupted = 128 + int(syscall.SIGINT)
)

// An exitError is an error with an exit code other than exitFailed.
type exitError struct {
	error
	code int
}

func (e exitError) ExitCode() int { return e.code }
func (e exitError) Unwrap() error { return e.error }

func usage(format string, args ...any) error {
	return exitError{fmt.Errorf(format, args...), exitUsage}
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = exitError{errors.New("interrupted"), exitInterrupted}

// The streams are a command's connections to the outside.
type streams struct {
	in       io.Reader
	out, err io.Writer
	color    string // auto, always, never
}

// sayf writes a line for people, which scripts do not read.
func (s *streams) sayf(format string, args ...any) {
	text := strings.TrimPrefix(fmt.Sprintf(format, args...), "sse: ") // the library's errors have it
	fmt.Fprintf(s.err, "sse: %s\n", text)                             //nolint:errcheck // there is nowhere else to say it
}

func main() {
	ctx, interrupt := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // a second one does what it does by default
		interrupt(errInterrupted)
	}()
	os.Exit(run(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run runs a command line and returns its exit code.
func run(ctx context.Context, args []string, s *streams) (code int) {
	type exited struct{ code int } // how kong ends after --help
	defer func() {
		if e, ok := recover().(exited); ok {
			code = e.code
		}
	}()
	var c commands
	k := kong.Must(&c,
		kong.Name("sse"),
		kong.Description("Server-sent events from the command line."),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { panic(exited{code}) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s))
	kongcompletion.Register(k)
	parsed, err := k.Parse(args)
	if err != nil {
		s.sayf("%v", err)
		s.sayf("run 'sse --help', or 'sse tail --help' for a command's flags")
		return exitUsage
	}
	s.color = c.Color
	if err = parsed.Run(); err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		s.sayf("%v", err)
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	return exitFailed
}

// errReported is the error of a command whose output tells it already.
var errReported = errors.New("reported")
