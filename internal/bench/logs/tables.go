//go:build linux

package logs

import (
	"fmt"
	"slices"

	"example.org/sse/internal/bench/report"
)

// Text returns the report.
func Text(r *report.Results) string {
	text := r.Head("")
	var rows []report.Row
	for _, e := range Engines {
		if !slices.Contains(r.Subjects(), e.Name) {
			continue
		}
		row := report.Row{Subject: e.Name, Title: e.Name}
		if !e.local {
			row.Base = Base
		}
		rows = append(rows, row)
		text += fmt.Sprintf("- %s: %s\n", e.Name, e.about)
	}
	text += "\n### One event at a time\n\nOne caller, 200 events a second, two processes: how long a call of `DispatchOnce` takes, and the time " +
		"from the call until the other process's member is written the event; half of them, and 99 of 100. Of the half, the ratio to `" + Base + "`.\n\n" +
		r.Table(rows, []report.Column{
			column("call, p50", report.Key{Measure: "one"}, "call p50", "%.0f µs", true),
			column("p99", report.Key{Measure: "one"}, "call p99", "%.0f µs", false),
			column("the other's member, p50", report.Key{Measure: "one"}, "member p50", "%.0f µs", true),
			column("p99", report.Key{Measure: "one"}, "member p99", "%.0f µs", false),
		}) +
		"### Flat out\n\nEvents a second. Each caller dispatches when its call before has returned. Two processes.\n\n" +
		r.Table(rows, columns(r, "flat", "rate", "%.0f", "caller")) +
		"### Followers\n\nCPU time of one event, of all processes together, the broker's included. Each hub has one member and, except for `memory`, " +
		"a process of its own; the first hub dispatches. One event at a time, 200 a second:\n\n" +
		r.Table(rows, columns(r, "followers", "one", "%.0f µs", "follower")) +
		fmt.Sprintf("The same, flat out, with %d callers:\n\n", flatCallers) +
		r.Table(rows, columns(r, "followers", "flat", "%.0f µs", "follower"))
	return text + storm(r)
}

func column(title string, k report.Key, figure, format string, ratio bool) report.Column {
	c := report.Column{Title: title, Key: k, Figures: []report.Figure{{Name: figure, Format: format}}}
	if ratio {
		c.Figures = append(c.Figures, report.Figure{Name: figure, Format: ", %.2g×", Ratio: true})
	}
	return c
}

// columns returns a column for each number that a figure was measured with.
func columns(r *report.Results, measure, figure, format, noun string) (columns []report.Column) {
	for _, k := range r.Keys(measure) {
		title := fmt.Sprintf("%d %ss", k.N, noun)
		if k.N == 1 {
			title = "1 " + noun
		}
		columns = append(columns, column(title, k, figure, format, true))
	}
	return columns
}

// storm returns the table of clients that reconnect.
func storm(r *report.Results) string {
	if len(r.Keys("resume")) == 0 {
		return ""
	}
	text := "### All reconnect at once\n\nClients that all connect at the same time, as fast as they can, to one process that has a hub " +
		"on a log (`" + stormEngine + "`) with a full history of 1,024 events: with the id of the event 15 before the newest, " +
		"so that they resume from the process's memory; or as new clients, with a `Snapshot` of 10 KiB for each. The streams are detached. " +
		"Time until half of them, and the last of them, has what it is sent, and the server's CPU time for each; " +
		"the clients, a process of their own, share the cores. And how much memory the kernel uses for one end of a connection.\n\n" +
		"| | resume: half | the last | CPU each | snapshot: half | the last | CPU each | kernel |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
	for _, k := range r.Keys("resume") {
		text += report.English.Sprintf("| %d clients |", k.N)
		for _, c := range []struct{ measure, figure, format string }{
			{"resume", "half", "%.0f ms"}, {"resume", "last", "%.0f ms"}, {"resume", "cpu", "%.0f µs"},
			{"snapshot", "half", "%.0f ms"}, {"snapshot", "last", "%.0f ms"}, {"snapshot", "cpu", "%.0f µs"}, {"resume", "slab", "%.1f KiB"},
		} {
			v, _ := r.Median(stormEngine, report.Key{Measure: c.measure, N: k.N}, c.figure)
			text += " " + report.English.Sprintf(c.format, v) + " |"
		}
		text += "\n"
	}
	return text + "\n"
}
