//go:build linux

package rivals

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"example.org/sse/internal/bench/report"
	"example.org/sse/internal/bench/subject"
)

// A section is the table of a measure.
type section struct {
	measure, title, text string
	columns              []report.Column // for each key
	plot                 string          // the file's name, if any
	axis                 string          // of the plot, whose bars are the first figure
}

func cell(figures ...report.Figure) []report.Column { return []report.Column{{Figures: figures}} }

func anyway(title, name, format string) report.Column {
	return report.Column{Title: title, Figures: []report.Figure{{Name: name, Format: format}}, Anyway: true}
}

var sections = []section{
	{"one", "One event at a time",
		"Each event is dispatched when all clients have the one before it, at a rate that leaves the machine time to spare. " +
			"Server CPU time for each delivery, its ratio to `loop`, and the time until the last client has the event. " +
			"About 0.3 ms of each event is an idle Go process waking up, whatever the subject: divide it by the streams.",
		cell(report.Figure{Name: "cpu", Format: "%.2f µs"}, report.Figure{Name: "cpu", Format: ", %.2f×", Ratio: true}, report.Figure{Name: "last", Format: ", %.1f ms"}),
		"cpu.svg", "server CPU time for each delivery, µs"},
	{"flat", "Flat out",
		"Up to 16 events are on their way at once. Server CPU time for each delivery, its ratio to `loop`, and events a second, each of which goes to all clients.",
		cell(report.Figure{Name: "cpu", Format: "%.2f µs"}, report.Figure{Name: "cpu", Format: ", %.2f×", Ratio: true}, report.Figure{Name: "rate", Format: ", %.0f/s"}),
		"flat.svg", "server CPU time for each delivery, µs"},
	{"idle", "An idle stream",
		"KiB of resident memory for each stream, and how much of it is heap and stacks.",
		cell(report.Figure{Name: "resident", Format: "%.1f"}, report.Figure{Name: "heap", Format: " (%.1f"}, report.Figure{Name: "stacks", Format: " + %.1f)"}),
		"idle.svg", "KiB resident"},
	{"stalled", "Clients that do not read",
		"One client in a hundred reads nothing after the head. Whether the others get everything or the subject hangs; how long a call of dispatch takes, in ms; " +
			"how many of the stalled clients are disconnected at the end; and how much the resident memory grew.",
		[]report.Column{
			{Title: "the others", Fine: "get everything"}, anyway("p50", "p50", "%.2f"), anyway("p99", "p99", "%.2f"),
			anyway("longest", "longest", "%.1f"), anyway("closed", "closed", "%.0f"), anyway("memory", "grown", "%.1f MiB"),
		}, "", ""},
	{"shutdown", "Shutdown",
		"Time from the call of `Shutdown` until all clients have seen the end, and how many streams ended with their last chunk.",
		[]report.Column{{Title: "time", Figures: []report.Figure{{Name: "took", Format: "%.0f ms"}}}, anyway("ended cleanly", "clean", "%.0f")}, "", ""},
	{"keepalive", "Keep-alive",
		"CPU time of idle streams whose keep-alive interval is 30 s, in percent of a core.",
		cell(report.Figure{Name: "cpu", Format: "%.2f %%"}), "", ""},
}

// Text returns the report. It draws plots into a folder if that is not empty, and
// links to them by base.
func Text(r *report.Results, folder, base string) (string, error) {
	text := r.Head(", except for what takes long: the clients that do not read, and keep-alive")
	for _, s := range sections {
		keys := r.Keys(s.measure)
		if len(keys) == 0 {
			continue
		}
		text += fmt.Sprintf("### %s\n\n%s\n\n", s.title, s.text)
		if s.plot != "" && folder != "" {
			most := slices.MaxFunc(keys, func(a, b report.Key) int { return a.N - b.N }) // the first of these
			err := report.Plot(filepath.Join(folder, s.plot), s.title+": "+describe(most), s.axis, s.bars(r, most))
			if err != nil {
				return "", err
			}
			text += fmt.Sprintf("![%s](%s)\n\n", s.title, path.Join(base, s.plot))
		}
		var columns []report.Column
		for _, k := range keys {
			for _, c := range s.columns {
				if c.Key = k; c.Title == "" {
					c.Title = describe(k)
				}
				columns = append(columns, c)
			}
		}
		if s.columns[0].Title != "" {
			text += describe(keys[0]) + ":\n\n"
		}
		text += r.Table(rows(r), columns)
	}
	return text + r.Comparison(before, "one", "flat", "idle", "shutdown") + failures(r), nil
}

// describe returns a key as the heading of a column.
func describe(k report.Key) string {
	text := report.English.Sprintf("%d streams", k.N)
	switch {
	case k.Size >= 1<<10 && k.Size%(1<<10) == 0:
		text += fmt.Sprintf(", %d KiB", k.Size>>10)
	case k.Size > 0:
		text += fmt.Sprintf(", %d B", k.Size)
	}
	return text
}

func rows(r *report.Results) (rows []report.Row) {
	for _, name := range r.Subjects() {
		row := report.Row{Subject: name, Title: name, Base: subject.Limit}
		if s, err := subject.Find(name); err == nil && s.Ours {
			row.Title = "**" + name + "**"
		}
		rows = append(rows, row)
	}
	return rows
}

// bars returns the section's first figure of each subject.
func (s section) bars(r *report.Results, k report.Key) (bars []report.Bar) {
	figure := s.columns[0].Figures[0]
	for _, name := range r.Subjects() {
		found, _ := subject.Find(name)
		b := report.Bar{Name: name, Ours: found.Ours, Label: "fails"}
		if v, ok := r.Median(name, k, figure.Name); ok {
			b.Value, b.Label = v, report.English.Sprintf(strings.TrimSuffix(figure.Format, " µs"), v)
		}
		bars = append(bars, b)
	}
	return bars
}

// failures returns what is behind the words hangs and fails.
func failures(r *report.Results) string {
	var lines []string
	for _, one := range r.Results {
		if one.Failure == "" {
			continue
		}
		reason := strings.ReplaceAll(one.Failure, "\n", "; ")
		line := report.English.Sprintf("- %s, %s, %d streams: %.200s\n", one.Subject, one.Measure, one.N, reason)
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "### What failed\n\n" + strings.Join(lines, "") + "\n"
}
