package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The results of a benchmark, as --json prints them. Times are in milliseconds.
type results struct {
	Streams    int     `json:"streams"`
	Failed     int64   `json:"failed"`
	Failure    string  `json:"failure,omitempty"`
	Reconnects int64   `json:"reconnects"`
	Seconds    float64 `json:"seconds"`
	Events     int64   `json:"events"`
	PerSecond  float64 `json:"events_per_second"`
	Bytes      int64   `json:"data_bytes"`

	Compression *compression `json:"compression,omitempty"` // with --compressed

	Responses  *int64  `json:"responses,omitempty"` // complete ones, if streams are requested again at once
	Connect    *spread `json:"connect_ms,omitempty"`
	First      *spread `json:"first_event_ms,omitempty"` // from the request
	Latency    *spread `json:"latency_ms,omitempty"`
	Early      int64   `json:"early,omitempty"` // events with a negative latency: the clocks differ
	Identified int64   `json:"identified"`      // events whose id contains a position
	Missed     *int64  `json:"missed"`          // nil if unknown
	Repeated   int64   `json:"repeated"`

	lasted    time.Duration
	latencies *hdrhistogram.Histogram
}

// A spread is a distribution of times.
type spread struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func spreadOf(h *hdrhistogram.Histogram) *spread {
	if h.TotalCount() == 0 {
		return nil
	}
	at := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / 1000 }
	return &spread{h.TotalCount(), at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1000}
}

func (m *metrics) results(streams int, repeats bool) *results {
	r := &results{
		Streams:    streams,
		Failed:     m.failed,
		Reconnects: m.reconnects,
		Seconds:    m.lasted.Seconds(),
		Events:     m.events,
		PerSecond:  float64(m.events) / max(m.lasted.Seconds(), 0.001),
		Bytes:      m.bytes,
		Connect:    spreadOf(m.connects),
		First:      spreadOf(m.firsts),
		Latency:    spreadOf(m.latencies),
		Early:      m.early,
		Identified: m.identified,
		Repeated:   m.repeated,
		lasted:     m.lasted,
		latencies:  m.latencies,
	}
	if missed, known := m.missed(streams); known {
		r.Missed = &missed
	}
	if repeats {
		r.Responses = &m.responses
	}
	if m.failure != nil {
		r.Failure = masked(m.failure.Error())
	}
	return r
}

func (r *results) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (r *results) write(w io.Writer, p palette) error {
	tab := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tab, name+"\t"+format+"\n", args...) //nolint:errcheck // Flush returns it
	}
	if r.Responses != nil {
		row("streams", "%d of %d worked, %s complete", int64(r.Streams)-r.Failed, r.Streams, plural(*r.Responses, "response"))
	} else {
		row("streams", "%d of %d stayed open, %s", int64(r.Streams)-r.Failed, r.Streams, plural(r.Reconnects, "reconnection"))
	}
	if r.Connect != nil {
		row("connect", "%s", r.Connect)
	}
	if r.First != nil {
		row("first event", "%s", r.First)
	}
	row("events", "%d in %.1f s: %.0f/s, %.1f/s per stream, %.1f KiB/s of data",
		r.Events, r.Seconds, r.PerSecond, r.PerSecond/float64(r.Streams), float64(r.Bytes)/1024/max(r.Seconds, 0.001))
	if r.Compression != nil {
		row("compression", "%s", r.Compression)
	}
	switch {
	case r.Latency != nil:
		row("latency", "%s, of %s", r.Latency, plural(r.Latency.Count, "event"))
	case r.Events > 0:
		row("latency", "unknown; set --time-field to the field with the time of sending")
	}
	switch {
	case r.Identified > 0 && r.Missed == nil:
		row("ids", "not consecutive, so missed events are unknown; %d repeated, of %s", r.Repeated, plural(r.Identified, "event"))
	case r.Identified > 0:
		row("ids", "%d missed, %d repeated, of %s", *r.Missed, r.Repeated, plural(r.Identified, "event"))
	case r.Events > 0:
		row("ids", "not numbered, so missed and repeated events are unknown")
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if r.Latency != nil {
		writeHistogram(w, r.latencies, p)
	}
	if r.Early > 0 {
		fmt.Fprintf(w, "\n%s arrived before being sent: the clocks differ, so the latencies are wrong.\n", plural(r.Early, "event")) //nolint:errcheck // the results are written
	}
	return nil
}

func (s *spread) String() string {
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", ms(s.P50), ms(s.P90), ms(s.P99), ms(s.P999), ms(s.Max))
}

func ms(x float64) string {
	switch {
	case x >= 1000:
		return fmt.Sprintf("%.2f s", x/1000)
	case x >= 100:
		return fmt.Sprintf("%.0f ms", x)
	case x >= 10:
		return fmt.Sprintf("%.1f ms", x)
	}
	return fmt.Sprintf("%.2f ms", x)
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// writeHistogram draws the latencies. Each row covers latencies up to twice those
// of the row above.
func writeHistogram(w io.Writer, h *hdrhistogram.Histogram, p palette) {
	var counts []int64 // counts[i] is for latencies up to 2^i microseconds
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		i := 0
		for int64(1)<<i < bar.To {
			i++
		}
		for len(counts) <= i {
			counts = append(counts, 0)
		}
		counts[i] += bar.Count
	}
	var most int64
	for _, n := range counts {
		most = max(most, n)
	}
	began, width := false, int64(min(max(widthOf(w)-24, 10), 50))
	fmt.Fprintln(w) //nolint:errcheck // the results are written
	for i, n := range counts {
		if began = began || n > 0; !began {
			continue
		}
		bar := strings.Repeat("█", int((n*width+most-1)/most))
		label := "≤ " + ms(float64(int64(1)<<i)/1000)
		fmt.Fprintf(w, "%12s  %s %s\n", label, p.name(bar), p.dim(fmt.Sprintf("%.1f %%", 100*float64(n)/float64(h.TotalCount())))) //nolint:errcheck // the same
	}
}
