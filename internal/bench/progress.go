//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"example.org/sse/internal/bench/driver"
)

// A progress shows how far a run is: a bar on a terminal, and elsewhere a line
// for each session with what it found.
type progress struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil elsewhere
	done int
	all  int
}

func newProgress(f *os.File, rounds [][]driver.Session) *progress {
	p := &progress{w: f}
	for _, sessions := range rounds {
		p.all += len(sessions)
	}
	if term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(p.all,
			progressbar.OptionSetWriter(f),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
	}
	return p
}

func (p *progress) begin(s driver.Session) {
	if p.bar != nil {
		p.bar.Describe(s.String())
	}
}

func (p *progress) end(s driver.Session, results []driver.Result) {
	if p.done++; p.bar != nil {
		p.bar.Add(1) //nolint:errcheck // a terminal that cannot be written to shows nothing
		return
	}
	lines := []string{fmt.Sprintf("%d/%d %s", p.done, p.all, s)}
	for _, r := range results {
		lines = append(lines, "\t"+line(r))
	}
	io.WriteString(p.w, strings.Join(lines, "\n")+"\n") //nolint:errcheck // the same
}

// line returns a result in one line.
func line(r driver.Result) string {
	words := []string{string(r.Measure)}
	if r.Size > 0 {
		words = append(words, fmt.Sprintf("%d B", r.Size))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		words = append(words, fmt.Sprintf("%s %.3g", name, r.Figures[name]))
	}
	if r.Failure != "" {
		words = append(words, "FAILED: "+r.Failure)
	}
	return strings.Join(words, ", ")
}

func (p *progress) close() {
	if p.bar != nil {
		p.bar.Finish() //nolint:errcheck // a terminal that cannot be written to shows nothing
	}
}
