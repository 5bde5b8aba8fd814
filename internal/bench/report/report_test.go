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
