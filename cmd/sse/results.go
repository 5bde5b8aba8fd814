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

// The results of a bench, as --json prints them. Times are in milliseconds.
type results struct {
	Streams    int     `json:"streams"`
	Failed     int64   `json:"failed"`
	Failure    string  `json:"failure,omitempty"`
	Reconnects int64   `json:"reconnects"`
	Seconds    float64 `json:"seconds"`
	Events     int64   `json:"events"`
	PerSecond  float64 `json:"events_per_second"`
	Bytes      int64   `json:"data_bytes"`
	Connect    *spread `json:"connect_ms,omitempty"`
	Latency    *spread `json:"latency_ms,omitempty"`
	Early      int64   `json:"early,omitempty"` // negative latencies: the clocks differ
	Identified int64   `json:"identified"`      // events with an id that tells their place
	Missed     int64   `json:"missed"`
	Repeated   int64   `json:"repeated"`

	lasted    time.Duration
	latencies *hdrhistogram.Histogram
}

// A spread is how times are distributed.
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

func (t *tally) results(streams int) *results {
	r := &results{
		Streams:    streams,
		Failed:     t.failed,
		Reconnects: t.reconnects,
		Seconds:    t.lasted.Seconds(),
		Events:     t.events,
		PerSecond:  float64(t.events) / max(t.lasted.Seconds(), 0.001),
		Bytes:      t.bytes,
		Connect:    spreadOf(t.connects),
		Latency:    spreadOf(t.latencies),
		Early:      t.early,
		Identified: t.identified,
		Missed:     t.missed(),
		Repeated:   t.repeated,
		lasted:     t.lasted,
		latencies:  t.latencies,
	}
	if t.failure != nil {
		r.Failure = t.failure.Error()
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
	row("streams", "%d of %d stayed, %s", int64(r.Streams)-r.Failed, r.Streams, plural(r.Reconnects, "reconnection"))
	if r.Connect != nil {
		row("connect", "%s", r.Connect)
	}
	row("events", "%d in %.1f s: %.0f a second, %.1f a stream and second; %.1f KiB of data a second",
		r.Events, r.Seconds, r.PerSecond, r.PerSecond/float64(r.Streams), float64(r.Bytes)/1024/max(r.Seconds, 0.001))
	switch {
	case r.Latency != nil:
		row("latency", "%s, of %s", r.Latency, plural(r.Latency.Count, "event"))
	case r.Events > 0:
		row("latency", "unknown: no event tells when it was sent; --time-field names the field that does")
	}
	switch {
	case r.Identified > 0:
		row("ids", "%d missed, %d repeated, of %s", r.Missed, r.Repeated, plural(r.Identified, "event"))
	case r.Events > 0:
		row("ids", "none that count up, so that nothing is known of missed and repeated events")
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if r.Latency != nil {
		writeHistogram(w, r.latencies, p)
	}
	if r.Early > 0 {
		fmt.Fprintf(w, "\n%s came before they were sent: the clocks differ, and the latencies are wrong.\n", plural(r.Early, "event")) //nolint:errcheck // what matters is written
	}
	return nil
}

func (s *spread) String() string {
	return fmt.Sprintf("p50 %s   p90 %s   p99 %s   p99.9 %s   max %s", ms(s.P50), ms(s.P90), ms(s.P99), ms(s.P999), ms(s.Max))
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

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// writeHistogram draws how many events took how long, each row for up to twice
// as long as the one above.
func writeHistogram(w io.Writer, h *hdrhistogram.Histogram, p palette) {
	var counts []int64 // of up to 2^i microseconds
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
	began := false
	fmt.Fprintln(w) //nolint:errcheck // what matters is written
	for i, n := range counts {
		if began = began || n > 0; !began {
			continue
		}
		const width = 50
		bar := strings.Repeat("█", int((n*width+most-1)/most))
		label := "≤ " + ms(float64(int64(1)<<i)/1000)
		fmt.Fprintf(w, "%12s  %s %s\n", label, p.name(bar), p.dim(fmt.Sprintf("%.1f %%", 100*float64(n)/float64(h.TotalCount())))) //nolint:errcheck // the same
	}
}
