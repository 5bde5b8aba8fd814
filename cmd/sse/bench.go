package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"example.org/sse"
)

type benchCommand struct {
	endpoint
	Streams   int           `short:"c" default:"10" placeholder:"COUNT" help:"How many streams to open."`
	Duration  time.Duration `short:"d" default:"10s" help:"How long to read, from when all of them are open."`
	TimeField string        `placeholder:"NAME" help:"The field of JSON data with the time of sending: RFC 3339, or a number since 1970. Parts of a path are joined by dots. [the data's first number]"`
	JSON      bool          `name:"json" help:"Print the results as JSON."`
	Patience  time.Duration `default:"30s" help:"How long the server may take to begin its answers."`
}

// Help documents what is measured, and the exit codes.
func (*benchCommand) Help() string {
	return `Latencies are told by events whose data carries the time of sending. A time is any number that, taken for nanoseconds, microseconds or milliseconds since 1970, is less than an hour off; the clocks of both ends should agree.

Missed and repeated events are told by ids: numbers that count up, or those of this library. Of the latter, one that another stream got counts as missed.

Exit codes: 0 if all streams were open; 1 if one was not, or ended for good; 2 if the command line is wrong. An interrupt ends the reading early.`
}

// atOnce is how many streams are being opened at a time: a rush would measure
// the server's queue for new connections.
const atOnce = 64

// A bench is the run of a benchCommand.
type bench struct {
	*benchCommand
	transport *http.Transport
	header    http.Header
	url       string
	tallies   []*tally // a stream has one of them, so that they do not all wait for the same
	bar       *progressbar.ProgressBar
	ready     atomic.Int64 // streams that are open, or have failed
	allReady  chan struct{}
	room      chan struct{} // for streams that are being opened
	reading   atomic.Bool   // from when all are ready
}

// Run measures.
func (c *benchCommand) Run(ctx context.Context, s *streams) error {
	if c.Streams < 1 || c.Duration <= 0 {
		return usage("-c and -d take positive numbers")
	}
	b := &bench{
		benchCommand: c,
		transport:    c.transport(c.Patience),
		allReady:     make(chan struct{}),
		room:         make(chan struct{}, atOnce),
	}
	var err error
	if b.url, err = c.url(); err != nil {
		return err
	}
	if b.header, err = c.header(); err != nil {
		return err
	}
	for range min(c.Streams, runtime.GOMAXPROCS(0)) {
		b.tallies = append(b.tallies, newTally(c.TimeField))
	}
	total := b.measure(ctx, s)
	results := total.results(c.Streams)
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

// measure opens the streams, reads for a while, and returns what it saw.
func (b *bench) measure(ctx context.Context, s *streams) *tally {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var streams sync.WaitGroup
	b.progress(s.err, b.Streams, "opening")
	for i := range b.Streams {
		streams.Go(func() { b.follow(ctx, b.tallies[i%len(b.tallies)]) })
	}
	select {
	case <-b.allReady:
		b.progress(s.err, int(b.Duration/tick), "reading")
	case <-ctx.Done():
	}
	ended := make(chan struct{}) // all streams, before their time
	go func() {
		streams.Wait()
		close(ended)
	}()
	select { // what servers send to newcomers is old, and no latency
	case <-time.After(settle):
	case <-ctx.Done():
	case <-ended:
	}
	began := time.Now()
	b.reading.Store(true)
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
	cancel()
	<-ended
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // a terminal that cannot be written to shows nothing
	}
	total := b.tallies[0]
	for _, t := range b.tallies[1:] {
		total.merge(t)
	}
	total.lasted = lasted
	return total
}

const (
	tick   = 100 * time.Millisecond // of the bar
	settle = 250 * time.Millisecond // before the reading
)

var errNoMore = errors.New("204: the server has no more")

// follow reads one stream until the context is done.
func (b *bench) follow(ctx context.Context, t *tally) {
	var order order
	var asked time.Time
	opened := false
	ready := func() { // once: with the answer, or the failure
		opened = true
		<-b.room
		if b.step(); b.ready.Add(1) == int64(b.Streams) {
			close(b.allReady)
		}
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	client := &sse.Client{
		URL:        b.url,
		HTTPClient: &http.Client{Transport: b.transport},
		Header:     b.header,
		OnRequest: func(*http.Request) error {
			asked = time.Now()
			return nil
		},
		OnOpen: func(*http.Response) {
			t.opened(time.Since(asked))
			if !opened {
				ready()
			}
		},
		OnError: func(err error, _ time.Duration) {
			if !opened {
				giveUp(fmt.Errorf("%w: %w", errNotOpened, err))
			} else {
				t.lost()
			}
		},
	}
	select {
	case b.room <- struct{}{}:
	case <-ctx.Done():
		return
	}
	end := errNoMore
	for event, err := range client.Events(ctx) {
		if err != nil {
			end = err
		} else if b.reading.Load() {
			t.event(event, &order, time.Now())
		}
	}
	if !errors.Is(end, context.Canceled) && !errors.Is(end, errInterrupted) {
		t.fail(end)
	}
	if !opened {
		ready()
	}
}

// progress shows a new bar, on a terminal.
func (b *bench) progress(w io.Writer, most int, what string) {
	if b.bar != nil {
		b.bar.Finish() //nolint:errcheck // a terminal that cannot be written to shows nothing
	}
	if isTerminal(w) {
		b.bar = progressbar.NewOptions(most,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(what),
			progressbar.OptionThrottle(tick),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
	}
}

// step moves the bar.
func (b *bench) step() {
	if b.bar != nil {
		b.bar.Add(1) //nolint:errcheck // the same
	}
}
