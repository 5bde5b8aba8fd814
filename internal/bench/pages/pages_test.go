//go:build linux

package pages_test

import (
	"os"
	"testing"
	"time"

	"example.org/sse/internal/bench/pages"
	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/report"
)

func TestMain(m *testing.M) {
	process.Play(map[string]any{"pages": new(pages.Server), "readers": new(pages.Clients)})
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	p := pages.Plan{Audiences: []pages.Audience{{Measure: "pages", Streams: 3, Sizes: []int{1000}}}, Rounds: 1, For: 100 * time.Millisecond}
	bytes := make(map[string]float64)
	err := p.Run(t.Context(), func(r report.Result) { bytes[r.Subject] = r.Figures["bytes"] })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages.Names() {
		plain := name == "identity" || name == "datastar"
		if got := bytes[name]; got < 10 || plain != (got > 1000) {
			t.Errorf("%s: %.0f bytes for an event of 1,000, compressed is %t", name, got, !plain)
		}
	}
}
