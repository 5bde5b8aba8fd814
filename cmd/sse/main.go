// Command sse reads, serves, measures and diagnoses server-sent event streams.
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
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Tail       tailCommand       `cmd:"" help:"Print a stream's events as they arrive."`
	Send       sendCommand       `cmd:"" help:"Serve the lines of standard input as a stream."`
	Bench      benchCommand      `cmd:"" help:"Open many streams to one URL and measure them."`
	Doctor     doctorCommand     `cmd:"" help:"Diagnose a stream and the proxies in front of it."`
	Completion completionCommand `cmd:"" help:"Print a shell completion script."`

	Color string `enum:"auto,always,never" default:"auto" help:"Colors: auto, always or never. \"auto\" uses colors on a terminal unless NO_COLOR is set."`

	Version kong.VersionFlag `help:"Print the version."`
}

// Exit codes. Each command's Help documents them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitTimeout     = 3
	exitInterrupted = 128 + int(syscall.SIGINT)
)

// An exitError is an error with its own exit code.
type exitError struct {
	error
	code int
}

func (e exitError) ExitCode() int { return e.code }
func (e exitError) Unwrap() error { return e.error }

func usage(format string, args ...any) error {
	return exitError{fmt.Errorf(format, args...), exitUsage}
}

// errInterrupted is the cause of a context that a signal canceled.
var errInterrupted = exitError{errors.New("interrupted"), exitInterrupted}

// errReported is returned by a command whose output already describes the failure.
var errReported = errors.New("reported")

// The streams are a command's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
	color    string // auto, always, never
}

// logf prints a message for the user on standard error.
func (s *streams) logf(format string, args ...any) {
	text := strings.TrimPrefix(fmt.Sprintf(format, args...), "sse: ") // the library's errors have it
	fmt.Fprintf(s.err, "sse: %s\n", printable(masked(text)))          //nolint:errcheck // there is nowhere else to report it
}

func main() {
	ctx, interrupt := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // a second signal kills the process
		interrupt(errInterrupted)
	}()
	os.Exit(run(ctx, os.Args[1:], &streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// newParser returns the parser of the command line.
func newParser(c *commands, options ...kong.Option) *kong.Kong {
	return kong.Must(c, append(append([]kong.Option{
		kong.Name("sse"),
		kong.Vars{"version": version()},
		kong.Description("Server-sent events from the command line."),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	}, mappers...), options...)...)
}

// version returns the version of the module or, in a clone, the commit.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "sse, of an unknown version"
	}
	text := "sse " + build.Main.Version
	i := slices.IndexFunc(build.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
	if build.Main.Version == "(devel)" && i >= 0 {
		text += " " + build.Settings[i].Value
	}
	return text + ", " + build.GoVersion
}

// noValue matches how kong says that a flag has no value.
var noValue = regexp.MustCompile(`expected (\S+ )?value but got "[^"]*" \([^)]*\)`)

// run runs a command line and returns its exit code.
func run(ctx context.Context, args []string, s *streams) (code int) {
	type exited struct{ code int } // how kong exits after --help
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			code = e.code
		default:
			panic(e)
		}
	}()
	var c commands
	parsed, err := newParser(&c,
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { panic(exited{code}) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
	).Parse(args)
	if err != nil {
		s.logf("%s", noValue.ReplaceAllString(err.Error(), "needs a value"))
		s.logf("run 'sse --help' for the commands, or 'sse tail --help' for a command's flags")
		return exitUsage
	}
	s.color = c.Color
	if err = parsed.Run(); err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		s.logf("%v", err)
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	return exitFailed
}
