package sseprom_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"example.org/sse"
	"example.org/sse/sseprom"
	"example.org/sse/ssetest"
)

// registered returns a registry with the collector.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(sseprom.NewCollector()); err != nil {
		t.Fatal(err)
	}
	return registry
}

// busy has streams of a few kinds end, and events go to them.
func busy(t *testing.T) {
	t.Helper()
	var kept sse.Set // whose stream keeps its handler
	served := make(chan bool)
	go func() {
		kept.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		close(served)
	}()
	ssetest.AwaitLen(t, &kept, 1)
	kept.CloseAll()
	<-served
	for range 20 {
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}}}
		server := ssetest.NewServer(&group)
		stream := server.Open(t, "/")
		ssetest.AwaitLen(t, &group, 1)
		group.Dispatch("", "one")
		stream.Next()
		server.Close()
	}
}

// The names and helps are as promtool wants them.
func TestLint(t *testing.T) {
	busy(t)
	problems, err := testutil.GatherAndLint(registered(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The number of series is bounded, however many streams there were.
func TestCardinality(t *testing.T) {
	registry := registered(t)
	busy(t)
	first, err := testutil.GatherAndCount(registry)
	if err != nil {
		t.Fatal(err)
	}
	busy(t)
	second, err := testutil.GatherAndCount(registry)
	t.Log(first, "series")
	if err != nil || second != first || second > 50 {
		t.Errorf("%d series, then %d, error %v; want the same number, 50 at most", first, second, err)
	}
}

// The collected numbers are those of ReadStats, also the histogram's.
func TestValues(t *testing.T) {
	busy(t)
	registry := registered(t)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	s := sse.ReadStats()
	var measured uint64
	for _, b := range s.Latency {
		measured += b.Count
	}
	for name, want := range map[string]uint64{
		"sse_streams_opened_total":            s.Opened,
		"sse_streams_ended_total shutdown":    s.Ended["shutdown"],
		"sse_streams attached":                0,
		"sse_dispatched_events_total":         s.Dispatched.Events,
		"sse_addressed_bytes_total":           s.Addressed.Bytes,
		"sse_finished_events_total delivered": s.Delivered.Events,
		"sse_pending_bytes":                   0,
		"sse_compressed_events_total shared":  s.Compression.Shared.Events,
		"sse_compressed_bytes_total shared":   s.Compression.Shared.Bytes,
		"sse_compressed_events_total own":     s.Compression.Own.Events,
		"sse_compressed_events_total stored":  s.Compression.Stored.Events,
		"sse_uncompressed_bytes_total":        s.Compression.Plain,
		"sse_dispatch_latency_seconds":        measured,
	} {
		if value, ok := got[name]; !ok || value != float64(want) {
			t.Errorf("%s is %v, want %d", name, value, want)
		}
	}
	if s.Opened < 20 || s.Dispatched.Events < 20 || s.Compression.Shared.Events < 20 {
		t.Errorf("opened %d, dispatched %d, compressed %+v, want 20 at least", s.Opened, s.Dispatched.Events, s.Compression)
	}
}

// A second collector is refused, as Prometheus's clients expect.
func TestTwice(t *testing.T) {
	registry := registered(t)
	var already prometheus.AlreadyRegisteredError
	if err := registry.Register(sseprom.NewCollector()); !errors.As(err, &already) {
		t.Errorf("got %v, want an AlreadyRegisteredError", err)
	}
}

// exposed returns the metrics that a scrape returns, each with its labels.
func exposed(t *testing.T) map[string]map[string]bool {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registered(t), promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	metrics := make(map[string]map[string]bool)
	series := regexp.MustCompile(`^(sse_\w+)(?:\{(.*)\})? `)
	for line := range strings.Lines(w.Body.String()) {
		m := series.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if metrics[m[1]] == nil {
			metrics[m[1]] = map[string]bool{"job": true, "instance": true}
		}
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			metrics[m[1]][label[1]] = true
		}
	}
	return metrics
}

// A dashboard is what Grafana reads, as far as it matters here.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr, LegendFormat string }
	}
}

// Every query of the dashboard is about metrics and labels that there are, and every
// metric is on it.
func TestDashboard(t *testing.T) {
	busy(t)
	file, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(file, &d); err != nil {
		t.Fatal(err)
	}
	metrics, shown := exposed(t), make(map[string]bool)
	labels := regexp.MustCompile(`by \((\w+)\)|\{(\w+)=|\{\{(\w+)\}\}`)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			names := regexp.MustCompile(`\bsse_\w+`).FindAllString(target.Expr, -1)
			if len(names) != 1 || strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Fatalf("%s: %q, want one metric, and parentheses in pairs", p.Title, target.Expr)
			}
			name := names[0]
			if shown[name] = true; metrics[name] == nil {
				t.Errorf("%s: there is no metric %s", p.Title, name)
			}
			for _, m := range labels.FindAllStringSubmatch(target.Expr+target.LegendFormat, -1) {
				if label := m[1] + m[2] + m[3]; !metrics[name][label] {
					t.Errorf("%s: %s has no label %s", p.Title, name, label)
				}
			}
			counts := strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_bucket")
			if counts != strings.Contains(target.Expr, "rate("+name) {
				t.Errorf("%s: %q, want the rate of a counter, and of nothing else", p.Title, target.Expr)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		if !shown[name] && !strings.HasPrefix(name, "sse_dispatch_latency_seconds_") {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}
