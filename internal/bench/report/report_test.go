//go:build linux

package report_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.org/sse/internal/bench/report"
)

var update = flag.Bool("update", false, "write the expected report")

// The results in testdata give the report in testdata.
func TestWrite(t *testing.T) {
	results, err := report.Load("testdata/results.json")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	into, plots := filepath.Join(folder, "BENCHMARKS.md"), filepath.Join(folder, "docs", "bench")
	os.WriteFile(into, []byte("before\n<!-- rivals:begin -->\nold\n<!-- rivals:end -->\nafter\n"), 0o666)
	for range 2 { // the second time in place of the first
		if err := results.Write(into, "docs/bench"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(into)
	if err != nil {
		t.Fatal(err)
	}
	const expected = "testdata/report.md"
	if *update {
		os.WriteFile(expected, got, 0o666)
	}
	want, err := os.ReadFile(expected)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s\nIf that is right, run the test with -update.", got, want)
	}
	for _, name := range []string{"cpu.svg", "flat.svg", "idle.svg"} {
		if !strings.Contains(string(got), "(docs/bench/"+name+")") {
			t.Errorf("there is no link to %s", name)
		}
		svg, err := os.ReadFile(filepath.Join(plots, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, text := range []string{">loop<", ">detached<", "#0B62BD", "#A6A6A6", "#FFFFFF"} {
			if !strings.Contains(string(svg), text) {
				t.Errorf("%s has no %s", name, text)
			}
		}
		decoder := xml.NewDecoder(strings.NewReader(string(svg)))
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteWithoutPlace(t *testing.T) {
	into := filepath.Join(t.TempDir(), "BENCHMARKS.md")
	os.WriteFile(into, []byte("no markers\n"), 0o666)
	err := (&report.Results{Kind: "rivals"}).Write(into, "plots")
	if err == nil || !strings.Contains(err.Error(), "<!-- rivals:begin -->") {
		t.Errorf("got %v, want an error with the missing line", err)
	}
}

// A subject and its older version are compared.
func TestComparison(t *testing.T) {
	k := report.Key{Measure: "one", N: 1000, Size: 100}
	r := report.Results{Kind: "rivals", Results: []report.Result{
		{Subject: "detached, before", Key: k, Figures: map[string]float64{"cpu": 4}},
		{Subject: "detached", Key: k, Figures: map[string]float64{"cpu": 5}},
		{Subject: "detached, before", Key: k, Figures: map[string]float64{"cpu": 6}, Round: 1},
		{Subject: "detached", Key: k, Figures: map[string]float64{"cpu": 3}, Round: 1},
	}}
	got, err := r.Text("", "")
	if want := "| detached, one, 1,000 streams, 100 B | cpu | 5 | 4 | 0.875 | – |\n"; err != nil || !strings.Contains(got, want) {
		t.Errorf("got error %v and\n%s\nwant the line %s", err, got, want)
	}
}

// A log has ratios to its base, if it has one, with two digits; and no figure is lost.
func TestLogs(t *testing.T) {
	r := report.Results{Kind: "logs", Rows: []report.Row{{Subject: "memory"}, {Subject: "redis", Base: "memory"}}}
	add := func(subject, measure string, n int, figures map[string]float64) {
		r.Results = append(r.Results, report.Result{Subject: subject, Key: report.Key{Measure: measure, N: n}, Figures: figures})
	}
	for subject, v := range map[string]float64{"memory": 1000, "redis": 7531} {
		add(subject, "one", 0, map[string]float64{"call p50": v, "call p99": v, "member p50": v, "member p99": v})
		add(subject, "flat", 1, map[string]float64{"rate": v})
		add(subject, "flat", 16, map[string]float64{"rate": v})
		add(subject, "followers", 3, map[string]float64{"one": v, "flat": v})
	}
	add("nats, file", "reconnect", 2000, map[string]float64{
		"resume half": 1, "resume last": 2, "resume cpu": 3, "resume slab": 4, "snapshot half": 5, "snapshot last": 6, "snapshot cpu": 7,
	})
	got, err := r.Text("", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| | call, p50 | p99 | the other's member, p50 | p99 |\n",
		"| memory | 1,000 µs | 1,000 µs | 1,000 µs | 1,000 µs |\n",
		"| redis | 7,531 µs, 7.5× | 7,531 µs | 7,531 µs, 7.5× | 7,531 µs |\n",
		"| | 1 caller | 16 callers |\n",
		"| redis | 7,531, 7.5× | 7,531, 7.5× |\n",
		"| | 3 followers |\n",
		"| redis | 7,531 µs, 7.5× |\n",
		"| 2,000 clients | 1 ms | 2 ms | 3 µs | 5 ms | 6 ms | 7 µs | 4.0 KiB |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant the line %s", got, want)
		}
	}
}
