//go:build linux

package logs

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"example.org/sse/internal/bench/report"
)

var english = message.NewPrinter(language.English)

// Print writes the results as tables.
func (r *Results) Print(w io.Writer) error {
	_, err := io.WriteString(w, r.text())
	return err
}

// Write writes the tables into a file, in place of those that were there.
func (r *Results) Write(into string) error { return report.Replace(into, "logs", r.text()) }

func (r *Results) text() string {
	b := new(strings.Builder)
	rounds := 0
	for _, one := range r.Results {
		rounds = max(rounds, one.Round+1)
	}
	medians := "Each was measured once."
	if rounds > 1 {
		medians = fmt.Sprintf("Medians of %d rounds.", rounds)
	}
	fmt.Fprintf(b, "Measured on %s by\n\n    %s\n\non %s. Load averages: %s. %s\n\n",
		r.Date.Format("2006-01-02"), r.Command, r.Machine, r.Load, medians)
	for _, e := range Engines {
		if slices.ContainsFunc(r.Results, func(one Result) bool { return one.Engine == e.Name }) {
			fmt.Fprintf(b, "- %s: %s\n", e.Name, e.about)
		}
	}
	r.table(b, "One event at a time",
		"One caller, 200 events a second, two processes: what a call of `DispatchOnce` takes, and the time from it until "+
			"the other process's member is written the event; half of them, and 99 of 100. Of the half, the ratio to `"+Base+"`.",
		[]column{
			{"call, p50", callP50, 0, "%.0f µs", true}, {"p99", callP99, 0, "%.0f µs", false},
			{"the other's member, p50", memberP50, 0, "%.0f µs", true}, {"p99", memberP99, 0, "%.0f µs", false},
		})
	r.table(b, "Flat out", "Events a second that callers get done, each when its call before has returned. Two processes.",
		r.columns(rate, "%.0f", "caller", "callers"))
	r.table(b, "Followers",
		"CPU time of one event, of all processes together, the broker's included: so many hubs, each with one member and, "+
			"but for `memory`, in a process of its own; the first dispatches. One event at a time, 200 a second:",
		r.columns(cpuOne, "%.0f µs", "follower", "followers"))
	r.table(b, "", fmt.Sprintf("The same, flat out, with %d callers:", flatCallers),
		r.columns(cpuFlat, "%.0f µs", "follower", "followers"))
	r.back(b)
	return b.String()
}

// A column is a figure of all engines.
type column struct {
	title, figure string
	n             int
	format        string
	ratio         bool // to that of the base
}

// columns returns one for each number that the figure was measured with.
func (r *Results) columns(figure, format, one, more string) (columns []column) {
	for _, n := range r.numbers(figure) {
		title := fmt.Sprint(n, " ", more)
		if n == 1 {
			title = "1 " + one
		}
		columns = append(columns, column{title, figure, n, format, true})
	}
	return columns
}

func (r *Results) numbers(figure string) (numbers []int) {
	for _, one := range r.Results {
		if one.Figure == figure && !slices.Contains(numbers, one.N) {
			numbers = append(numbers, one.N)
		}
	}
	slices.Sort(numbers)
	return numbers
}

func (r *Results) table(b *strings.Builder, title, text string, columns []column) {
	if title != "" {
		fmt.Fprintf(b, "\n### %s\n", title)
	}
	fmt.Fprintf(b, "\n%s\n\n|", text)
	for _, c := range columns {
		fmt.Fprintf(b, " | %s", c.title)
	}
	b.WriteString(" |\n|---|" + strings.Repeat("---:|", len(columns)) + "\n")
	for _, e := range Engines {
		var cells []string
		for _, c := range columns {
			cells = append(cells, r.cell(e, c))
		}
		if slices.ContainsFunc(cells, func(cell string) bool { return cell != "–" }) {
			fmt.Fprintf(b, "| %s | %s |\n", e.Name, strings.Join(cells, " | "))
		}
	}
}

func (r *Results) cell(e Engine, c column) string {
	v, ok := r.median(e.Name, c.figure, c.n)
	if !ok {
		return "–"
	}
	text := english.Sprintf(c.format, v)
	if ratio, ok := r.ratio(e.Name, c.figure, c.n); ok && c.ratio && !e.local {
		text += fmt.Sprintf(", %.2g×", ratio)
	}
	return text
}

func (r *Results) values(engine, figure string, n int) (values map[int]float64) {
	values = make(map[int]float64)
	for _, one := range r.Results {
		if one.Engine == engine && one.Figure == figure && one.N == n {
			values[one.Round] = one.Value
		}
	}
	return values
}

func (r *Results) median(engine, figure string, n int) (float64, bool) {
	var values []float64
	for _, v := range r.values(engine, figure, n) {
		values = append(values, v)
	}
	return report.Median(values)
}

// ratio returns the median of the ratios to the base in the same round.
func (r *Results) ratio(engine, figure string, n int) (float64, bool) {
	var ratios []float64
	base := r.values(Base, figure, n)
	for round, v := range r.values(engine, figure, n) {
		if of := base[round]; of > 0 {
			ratios = append(ratios, v/of)
		}
	}
	return report.Median(ratios)
}

// back writes the table of clients that come back.
func (r *Results) back(b *strings.Builder) {
	numbers := r.numbers(backLast)
	if len(numbers) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### All come back at once\n\nClients that all connect at the same time, as fast as they can, to one process that has a hub "+
		"on a log (`%s`) with a full history of 1,024 events: with the id of the event 15 before the newest, "+
		"so that they resume from the process's memory; or as new ones, with a `Snapshot` of 10 KiB for each. The streams are detached. "+
		"Time until half of them, and the last of them, has what it is sent, and the server's CPU time for each; "+
		"the clients, a process of their own, share the cores. And how much memory the kernel has taken for one end of a connection.\n\n"+
		"| | resume: half | the last | CPU each | snapshot: half | the last | CPU each | kernel |\n|---|---:|---:|---:|---:|---:|---:|---:|\n", storm)
	for _, n := range numbers {
		english.Fprintf(b, "| %d clients |", n) //nolint:errcheck // a Builder takes everything
		for _, c := range []column{
			{format: "%.0f ms", figure: backP50}, {format: "%.0f ms", figure: backLast}, {format: "%.0f µs", figure: backCPU},
			{format: "%.0f ms", figure: newP50}, {format: "%.0f ms", figure: newLast}, {format: "%.0f µs", figure: newCPU}, {format: "%.1f KiB", figure: backSlab},
		} {
			v, _ := r.median(storm, c.figure, n)
			b.WriteString(" " + english.Sprintf(c.format, v) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}
