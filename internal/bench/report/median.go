//go:build linux

package report

import (
	"cmp"
	"slices"

	"gonum.org/v1/gonum/stat"

	"example.org/sse/internal/bench/driver"
	"example.org/sse/internal/bench/subject"
)

// A shape is what is measured of each subject: a column of a table, or a plot.
type shape struct {
	measure driver.Measure
	streams int
	size    int
}

// tables has the results by what they are of.
type tables struct {
	*driver.Results
	found map[shape]map[string][]driver.Result // by the subject, one for each round
}

func newTables(results *driver.Results) *tables {
	t := &tables{Results: results, found: make(map[shape]map[string][]driver.Result)}
	for _, r := range results.Results {
		s := shape{r.Measure, r.Streams, r.Size}
		if t.found[s] == nil {
			t.found[s] = make(map[string][]driver.Result)
		}
		t.found[s][r.Subject] = append(t.found[s][r.Subject], r)
	}
	return t
}

// shapes returns those of a measure, the smaller ones first.
func (t *tables) shapes(m driver.Measure) []shape {
	var shapes []shape
	for s := range t.found {
		if s.measure == m {
			shapes = append(shapes, s)
		}
	}
	slices.SortFunc(shapes, func(a, b shape) int {
		return cmp.Or(cmp.Compare(a.streams, b.streams), cmp.Compare(a.size, b.size))
	})
	return shapes
}

// subjects returns those of which there is a result of the measure.
func (t *tables) subjects(m driver.Measure) []subject.Subject {
	var all, subjects []subject.Subject
	for _, s := range subject.All {
		if s.Ours {
			all = append(all, s.Baseline())
		}
		all = append(all, s)
	}
	for _, s := range all {
		if slices.ContainsFunc(t.Results.Results, func(r driver.Result) bool { return r.Measure == m && r.Subject == s.Name }) {
			subjects = append(subjects, s)
		}
	}
	return subjects
}

// failure returns how a subject failed, if it did in any round.
func (t *tables) failure(s shape, name string) string {
	for _, r := range t.found[s][name] {
		if r.Hangs {
			return "hangs"
		} else if r.Failure != "" {
			return "fails"
		}
	}
	return ""
}

// median returns that of a figure over the rounds.
func (t *tables) median(s shape, name, figure string) (float64, bool) {
	var values []float64
	for _, r := range t.found[s][name] {
		if v, ok := r.Figures[figure]; ok {
			values = append(values, v)
		}
	}
	return Median(values)
}

// ratios returns a figure's ratios to the base's in the same round, when the
// machine was as busy with other things.
func (t *tables) ratios(s shape, name, base, figure string) []float64 {
	var ratios []float64
	for _, r := range t.found[s][name] {
		for _, limit := range t.found[s][base] {
			v, ok := r.Figures[figure]
			if of := limit.Figures[figure]; ok && limit.Round == r.Round && of > 0 {
				ratios = append(ratios, v/of)
			}
		}
	}
	return ratios
}

// Median returns the median of the values, which it sorts, if there are any.
func Median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	if len(values)%2 == 1 {
		return stat.Quantile(0.5, stat.Empirical, values, nil), true
	}
	return stat.Quantile(0.5, stat.LinInterp, values, nil), true
}
