package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

type benchCommand struct {
	endpoint
	Streams         int           `short:"c" default:"10" placeholder:"COUNT" help:"Number of streams to open (default: ${default})."`
	Duration        time.Duration `short:"d" default:"10s" help:"Time to read after all streams are open; with --data, after the first request."`
	TimeField       string        `placeholder:"NAME" help:"Field of JSON data with the time of sending: RFC 3339, or a number since 1970. Separate the names of nested fields by dots (default: the first number in the data)."`
	Compressed      bool          `help:"Ask for compressed streams, and measure what that saves."`
	JSON            bool          `name:"json" help:"Print the results as JSON."`
	ResponseTimeout time.Duration `default:"30s" help:"Time limit for the server to send its response headers."`
}

// Help documents what is measured, and the exit codes.
func (*benchCommand) Help() string {
	return `A stream that ends is requested again: after the reconnection time or, with --data or a method except GET, at once, which measures the answers of a language model, for example.

Latency is measured from a timestamp in the event's data: a number that, as nanoseconds, microseconds or milliseconds since 1970, is within an hour of now. The clocks of both machines should agree.

With --compressed, bench accepts zstd and gzip, as browsers do. Decoding takes 1.5 MiB of memory per stream with zstd, and 0.1 MiB with gzip, which -H "Accept-Encoding: gzip" selects.

Missed and repeated events are found by their ids: consecutive numbers, or the ids of this library. With the latter, an event counts as missed if another stream received it. With other ids, such as times, missed events are unknown.

Exit codes: 0 if all streams stayed open; 1 if a stream could not be opened, or failed; 2 if the command line is invalid. An interrupt ends the measurement early.` + helpOfRequests
}

// maxOpening is the number of streams that are opened at once. Opening all would
// measure the server's queue for new connections.
const maxOpening = 64

// A bench is the run of a benchCommand.
type bench struct {
	*benchCommand
	target   *target
	metrics  []*metrics // each stream uses one, so that few wait for the same lock
	meter    *meter     // nil without --compressed
	bar      *progressbar.ProgressBar
	ready    atomic.Int64 // streams that are open or have failed
	allReady chan struct{}
	opening  chan struct{} // has an element for each stream that is being opened
	reading  atomic.Bool   // whether events are counted
}

// Run measures.
func (c *benchCommand) Run(ctx context.Context, s *streams) error {
	if c.Streams < 1 || c.Streams > 1_000_000 {
		return usage("-c must be from 1 to 1000000")
	}
	if c.Duration <= 0 {
		return usage("-d must be positive")
	}
	target, err := c.target(s, c.ResponseTimeout, true)
	if err != nil {
		return err
	}
	b := &bench{
		benchCommand: c,
		target:       target,
		allReady:     make(chan struct{}),
		opening:      make(chan struct{}, maxOpening),
	}
	if c.Compressed || target.accept != "" {
		b.meter = target.decode()
	}
	for range min(c.Streams, runtime.GOMAXPROCS(0)) {
		b.metrics = append(b.metrics, newMetrics(c.TimeField))
	}
	total := b.measure(ctx, s)
	results := total.results(c.Streams, b.repeats())
	if b.meter != nil {
		results.Compression = &total.compression
	}
	if c.JSON {
		err = results.writeJSON(s.out)
	} else {
		err = results.write(s.out, s.palette(s.out))
	}
	if total.failed > 0 {
		err = cmp.Or(err, fmt.Errorf("%d of %d streams failed: %w", total.failed, c.Streams, total.failure))
	}
	return err
}

// repeats reports whether a stream is requested again as soon as it ends: it is the
// answer to a request, such as that of a language model, and not a feed.
func (b *bench) repeats() bool { return !b.target.get() }

// measure opens the streams, reads them for the duration, and returns the totals.
func (b *bench) measure(ctx context.Context, s *streams) *metrics {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var streams sync.WaitGroup
	began := time.Now()
	if b.repeats() {
		b.reading.Store(true) // responses that end soon would be over before
	}
	b.progress(s.err, b.Streams, "opening")
	for i := range b.Streams {
		streams.Go(func() { (&benchStream{bench: b, metrics: b.metrics[i%len(b.metrics)]}).follow(ctx) })
	}
	select {
	case <-b.allReady:
		b.progress(s.err, int(b.Duration/tick), "reading")
	case <-ctx.Done():
	}
	ended := make(chan struct{}) // closed when all streams have ended
	go func() {
		streams.Wait()
		close(ended)
	}()
	if !b.repeats() {
		select { // skip what the server sends to new clients: it is old
		case <-time.After(settle):
		case <-ctx.Done():
		case <-ended:
		}
		began = time.Now()
	}
	b.reading.Store(true)
	before := b.compression()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	over := time.After(b.Duration)
	for open := true; open; {
		select {
		case <-ticker.C:
			b.step()
		case <-over:
			open = false
		case <-ctx.Done():
			open = false
		case <-ended:
			open = false
		}
	}
	lasted := time.Since(began)
	b.reading.Store(false)
	compression := b.compression()
	compression.Sent -= before.Sent
	compression.Decoded -= before.Decoded
	cancel()
	<-ended
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // the bar is for display only
	}
	total := b.metrics[0]
	for _, m := range b.metrics[1:] {
		total.merge(m)
	}
	total.lasted, total.compression = lasted, compression
	return total
}

// compression returns what compression has saved so far.
func (b *bench) compression() (c compression) {
	if b.meter != nil {
		c = b.meter.compression()
	}
	return c
}

const (
	tick   = 100 * time.Millisecond // between updates of the bar
	settle = 250 * time.Millisecond // between opening and reading
)

// progress starts a new progress bar if w is a terminal.
func (b *bench) progress(w io.Writer, steps int, description string) {
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // the bar is for display only
	}
	if isTerminal(w) {
		b.bar = progressbar.NewOptions(steps,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(description),
			progressbar.OptionThrottle(tick),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
	}
}

// step advances the bar.
func (b *bench) step() {
	if b.bar != nil {
		b.bar.Add(1) //nolint:errcheck // the bar is for display only
	}
}
