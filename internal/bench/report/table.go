//go:build linux

package report

import (
	"fmt"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"example.org/sse/internal/bench/driver"
	"example.org/sse/internal/bench/subject"
)

var english = message.NewPrinter(language.English)

// A section is the table of a measure.
type section struct {
	measure driver.Measure
	title   string
	text    string   // what the figures are
	columns []string // of each shape, if they are not one cell
	cells   func(t *tables, s shape, name string) []string
}

var sections = []section{
	{driver.One, "One event at a time",
		"Each event is dispatched when all clients have the one before it, at a rate that leaves the machine time to spare. " +
			"Server CPU time for each delivery, its ratio to `loop`, and the time until the last client has the event. " +
			"Of each event some 0.3 ms is an idle Go process waking up, whatever the subject: divide it by the streams.",
		nil, oneCells},
	{driver.Flat, "Flat out",
		"Up to 16 events are on their way at once. Server CPU time for each delivery, its ratio to `loop`, and events a second, of which each goes to all clients.",
		nil, flatCells},
	{driver.Idle, "An idle stream",
		"KiB of resident memory for each stream, and how much of it is heap and stacks.",
		nil, idleCells},
	{driver.Stalled, "Clients that do not read",
		"One client in a hundred reads nothing after the head. The others get everything, or else the subject hangs; what a call of dispatch takes, in ms; " +
			"how many of those that stalled are disconnected at the end, and how much the resident memory grew.",
		[]string{"the others", "p50", "p99", "longest", "closed", "memory"}, stalledCells},
	{driver.Shutdown, "Shutdown",
		"Time until all clients have seen the end after `Shutdown` was called, and how many streams ended with their last chunk.",
		[]string{"time", "ended cleanly"}, shutdownCells},
	{driver.KeepAlive, "Keep-alive",
		"CPU time of idle streams whose keep-alive interval is 30 s, in percent of a core.",
		nil, keepAliveCells},
}

// writeHead tells how the figures came about.
func (t *tables) writeHead(b *strings.Builder) {
	rounds := 0
	for _, r := range t.Results.Results {
		rounds = max(rounds, r.Round+1)
	}
	medians := "Each was measured once."
	if rounds > 1 {
		medians = fmt.Sprintf("Medians of %d rounds, but for what takes long: the clients that do not read, and keep-alive.", rounds)
	}
	fmt.Fprintf(b, "Measured on %s by\n\n    %s\n\non %s. %s\n\n", t.Date.Format("2006-01-02"), t.Command, t.Machine, medians)
}

// write writes a section, if there is anything to tell.
func (c section) write(b *strings.Builder, t *tables, plot, base string) {
	shapes := t.shapes(c.measure)
	if len(shapes) == 0 {
		return
	}
	fmt.Fprintf(b, "### %s\n\n%s\n\n", c.title, c.text)
	if plot != "" {
		fmt.Fprintf(b, "![%s](%s/%s)\n\n", c.title, base, plot)
	}
	header, ruler := "|", "|---"
	for _, s := range shapes {
		columns := []string{s.String()}
		if c.columns != nil {
			columns = c.columns
			fmt.Fprintf(b, "%s:\n\n", s)
		}
		for _, name := range columns {
			header += " | " + name
			ruler += "|---:"
		}
	}
	fmt.Fprintf(b, "%s |\n%s|\n", header, ruler)
	for _, subject := range t.subjects(c.measure) {
		name := subject.Name
		if subject.Ours {
			name = "**" + name + "**"
		}
		row := []string{name}
		for _, s := range shapes {
			cells := c.cells(t, s, subject.Name)
			row = append(row, cells...)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteString("\n")
}

// String is the heading of the shape's column.
func (s shape) String() string {
	text := english.Sprintf("%d streams", s.streams)
	switch {
	case s.size >= 1<<10 && s.size%(1<<10) == 0:
		text += fmt.Sprintf(", %d KiB", s.size>>10)
	case s.size > 0:
		text += fmt.Sprintf(", %d B", s.size)
	}
	return text
}

// cell formats figures, or tells that there are none and why.
func (t *tables) cell(s shape, name, format string, figures ...string) string {
	if f := t.failure(s, name); f != "" {
		return f
	}
	values := make([]any, len(figures))
	for i, figure := range figures {
		get := t.median
		if of, ok := strings.CutSuffix(figure, ratioTo); ok {
			get, figure = t.ratioToLimit, of
		}
		v, ok := get(s, name, figure)
		if !ok {
			return "–"
		}
		values[i] = v
	}
	return english.Sprintf(format, values...)
}

func (t *tables) ratioToLimit(s shape, name, figure string) (float64, bool) {
	return Median(t.ratios(s, name, subject.Limit, figure))
}

// ratioTo after a figure's name asks for its ratio to the bare limit's.
const ratioTo = " ratio"

func oneCells(t *tables, s shape, name string) []string {
	return []string{t.cell(s, name, "%.2f µs, %.2f×, %.1f ms", driver.CPU, driver.CPU+ratioTo, driver.Last)}
}

func flatCells(t *tables, s shape, name string) []string {
	return []string{t.cell(s, name, "%.2f µs, %.2f×, %.0f/s", driver.CPU, driver.CPU+ratioTo, driver.Rate)}
}

func idleCells(t *tables, s shape, name string) []string {
	return []string{t.cell(s, name, "%.1f (%.1f + %.1f)", driver.Resident, driver.Heap, driver.Stacks)}
}

func stalledCells(t *tables, s shape, name string) []string {
	others := t.failure(s, name)
	if others == "" {
		others = "get everything"
	}
	cells := []string{others}
	for _, c := range []struct{ format, figure string }{
		{"%.2f", driver.P50}, {"%.2f", driver.P99}, {"%.1f", driver.Longest}, {"%.0f", driver.Closed}, {"%.1f MiB", driver.Resident},
	} {
		v, ok := t.median(s, name, c.figure)
		text := english.Sprintf(c.format, v)
		if !ok {
			text = "–"
		}
		cells = append(cells, text)
	}
	return cells
}

func shutdownCells(t *tables, s shape, name string) []string {
	clean := "–"
	if v, ok := t.median(s, name, driver.Clean); ok {
		clean = english.Sprintf("%.0f", v)
	}
	return []string{t.cell(s, name, "%.0f ms", driver.Took), clean}
}

func keepAliveCells(t *tables, s shape, name string) []string {
	return []string{t.cell(s, name, "%.2f %%", driver.CPU)}
}

// writeComparison writes the ratios of this version of the library to the older
// one, if that was measured.
func (t *tables) writeComparison(b *strings.Builder) {
	rows := new(strings.Builder)
	for _, section := range sections {
		for _, s := range t.shapes(section.measure) {
			for _, subject := range subject.All {
				for _, figure := range []string{driver.CPU, driver.Last, driver.Rate, driver.Resident, driver.Heap, driver.Took} {
					base := subject.Baseline().Name
					ratios := t.ratios(s, subject.Name, base, figure)
					middle, ok := Median(ratios) // sorted now
					if !ok {
						continue
					}
					before, _ := t.median(s, base, figure)
					after, _ := t.median(s, subject.Name, figure)
					fmt.Fprintf(rows, "| %s, %s, %s | %s | %.4g | %.4g | %.3f | %.3f–%.3f |\n",
						section.measure, subject.Name, s, figure, before, after, middle, ratios[0], ratios[len(ratios)-1])
				}
			}
		}
	}
	if rows.Len() > 0 {
		b.WriteString("### Before and after\n\n| | figure | before | after | ratio | of the rounds |\n|---|---|---:|---:|---:|---:|\n" + rows.String() + "\n")
	}
}

// writeFailures tells what is behind the words hangs and fails.
func (t *tables) writeFailures(b *strings.Builder) {
	said := make(map[string]bool)
	for _, r := range t.Results.Results {
		if r.Failure == "" {
			continue
		}
		if len(said) == 0 {
			b.WriteString("### What failed\n\n")
		}
		reason := strings.ReplaceAll(r.Failure, "\n", "; ")
		line := english.Sprintf("- %s, %s, %d streams: %.200s\n", r.Subject, r.Measure, r.Streams, reason)
		if !said[line] {
			b.WriteString(line)
		}
		said[line] = true
	}
	if len(said) > 0 {
		b.WriteString("\n")
	}
}
