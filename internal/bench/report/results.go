// Package report keeps what was measured and writes it as tables and plots.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"
)

// A Key is what a result is of, apart from its subject.
type Key struct {
	Measure string `json:"measure"`
	N       int    `json:"n,omitempty"`    // streams, followers, callers or clients
	Size    int    `json:"size,omitempty"` // of an event's data
}

// A Result has the figures of one measurement.
type Result struct {
	Subject string `json:"subject"`
	Key
	Round   int                `json:"round"`
	Figures map[string]float64 `json:"figures,omitempty"`
	Failure string             `json:"failure,omitempty"`
	Hangs   bool               `json:"hangs,omitempty"`
}

// String returns the result in one line.
func (r Result) String() string {
	text := fmt.Sprintf("%d %s, %s, %d", r.Round+1, r.Subject, r.Measure, r.N)
	if r.Size > 0 {
		text += fmt.Sprintf(", %d B", r.Size)
	}
	var figures []string
	for _, name := range r.names() {
		figures = append(figures, fmt.Sprintf("%s %.3g", name, r.Figures[name]))
	}
	if r.Failure != "" {
		figures = append(figures, "FAILED: "+r.Failure)
	}
	return text + ": " + strings.Join(figures, ", ")
}

func (r Result) names() []string { return slices.Sorted(maps.Keys(r.Figures)) }

// A Row is a subject of the tables.
type Row struct {
	Subject string `json:"subject"`
	About   string `json:"about,omitempty"`
	Base    string `json:"base,omitempty"` // the subject that its ratios are to
	Ours    bool   `json:"ours,omitempty"`
}

// Title returns the row's title.
func (r Row) Title() string {
	if r.Ours {
		return "**" + r.Subject + "**"
	}
	return r.Subject
}

// Results are those of a run of the program.
type Results struct {
	Kind    string    `json:"kind"` // the report's name
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Machine string    `json:"machine"`
	Load    string    `json:"load"` // of the machine, before and after
	Rows    []Row     `json:"rows"`
	Results []Result  `json:"results"`
}

// Load reads what Save wrote.
func Load(file string) (*Results, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Results)
	return r, json.Unmarshal(b, r)
}

// Save writes the results to a file, as JSON.
func (r *Results) Save(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o666)
}

// Keys returns the keys of a measure, the smaller ones first.
func (r *Results) Keys(measure string) (keys []Key) {
	for _, one := range r.Results {
		if one.Measure == measure && !slices.Contains(keys, one.Key) {
			keys = append(keys, one.Key)
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Size, b.Size)) })
	return keys
}

// of returns the results of a subject, one for each round.
func (r *Results) of(subject string, k Key) (results []Result) {
	for _, one := range r.Results {
		if one.Subject == subject && one.Key == k {
			results = append(results, one)
		}
	}
	return results
}

// failure says how a subject failed, if it did in any round.
func (r *Results) failure(subject string, k Key) string {
	for _, one := range r.of(subject, k) {
		if one.Hangs {
			return "hangs"
		} else if one.Failure != "" {
			return "fails"
		}
	}
	return ""
}

// median returns the median of a figure over the rounds.
func (r *Results) median(subject string, k Key, figure string) (float64, bool) {
	var values []float64
	for _, one := range r.of(subject, k) {
		if v, ok := one.Figures[figure]; ok {
			values = append(values, v)
		}
	}
	return median(values)
}

// ratios returns a figure's ratios to the base's in the same round, when the machine
// was as busy with other things.
func (r *Results) ratios(subject, base string, k Key, figure string) (ratios []float64) {
	for _, one := range r.of(subject, k) {
		for _, other := range r.of(base, k) {
			v, ok := one.Figures[figure]
			if of := other.Figures[figure]; ok && one.Round == other.Round && of > 0 {
				ratios = append(ratios, v/of)
			}
		}
	}
	return ratios
}

func median(values []float64) (float64, bool) {
	return summary(values).Center, len(values) > 0
}

// summary returns the median of the values, and where it is with a confidence of 95 %.
func summary(values []float64) benchmath.Summary {
	if len(values) == 0 {
		return benchmath.Summary{}
	}
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), 0.95)
}
