//go:build linux

package rivals_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/rivals"
	"example.org/sse/internal/bench/subject"
)

// The servers of a session are this program again.
func TestMain(m *testing.M) {
	process.Play(map[string]any{"server": new(rivals.Server)})
	os.Exit(m.Run())
}

// Each client of each subject gets every event once and in order, or Run reports it;
// and all measures have the figures that the report needs.
func TestSubjects(t *testing.T) {
	hang := map[string]bool{"naive": true, "datastar": true} // at shutdown, for which they have nothing
	for _, s := range subject.All {
		t.Run(s.Name, func(t *testing.T) {
			session := rivals.Session{Subject: s, Streams: 10, Phases: []rivals.Phase{
				{Measure: "idle"},
				{Measure: "one", Size: 100, For: 100 * time.Millisecond, Rate: 500},
				{Measure: "flat", Size: 3000, For: 100 * time.Millisecond},
				{Measure: "shutdown"},
			}}
			for _, r := range session.Run(t.Context(), time.Second) {
				switch {
				case r.Measure == "shutdown" && hang[s.Name]:
					if !r.Hangs {
						t.Errorf("got %s, want a shutdown that hangs", r)
					}
				case r.Failure != "":
					t.Errorf("got %s, want no failure", r)
				case r.Measure == "one" && (r.Figures["rate"] < 50 || r.Figures["last"] <= 0 || r.Figures["cpu"] <= 0):
					t.Errorf("got %s, want a rate of at least 50", r)
				case r.Measure == "flat" && r.Figures["rate"] < 200:
					t.Errorf("got %s, want a rate of at least 200", r)
				case r.Measure == "idle" && len(r.Figures) != 3:
					t.Errorf("got %s, want three figures", r)
				case r.Measure == "shutdown" && r.Figures["clean"] != 10:
					t.Errorf("got %s, want 10 clean ends", r)
				}
			}
		})
	}
}

// A client that does not read shows in the figures, and is no failure.
func TestStalled(t *testing.T) {
	s, err := subject.Find("attached")
	if err != nil {
		t.Fatal(err)
	}
	session := rivals.Session{Subject: s, Streams: 9, Stalled: 1, Phases: []rivals.Phase{
		{Measure: "stalled", Size: 64 << 10, For: 2 * time.Second, Rate: 100},
	}}
	r := session.Run(t.Context(), 5*time.Second)[0]
	if r.Failure != "" || r.Figures["p99"] <= 0 || r.Figures["longest"] < r.Figures["p50"] {
		t.Errorf("got %s, want figures and no failure", r)
	}
}

// A server that has ended fails its session at once.
func TestFailure(t *testing.T) {
	session := rivals.Session{Subject: subject.All[0], Program: "/bin/false", Streams: 1, Phases: []rivals.Phase{{Measure: "idle"}}}
	r := session.Run(t.Context(), time.Minute)[0]
	if want := "start: the process has ended"; !strings.HasPrefix(r.Failure, want) || r.Hangs {
		t.Errorf("got %s, want the failure %q", r, want)
	}
}

// The subjects take turns. None has two sessions in a row unless it is measured alone.
// Of a baseline and its subject, one follows the other.
func TestPlan(t *testing.T) {
	p := rivals.Plan{
		Subjects: subject.All,
		Measures: rivals.Measures,
		Streams:  []int{10, 20},
		Sizes:    []int{100, 1024},
		Crowd:    30,
		Leaving:  15,
		Repeats:  2,
	}
	n := len(subject.All)
	for _, test := range []struct {
		baseline string
		want     []int
	}{
		{"", []int{5*n + 2, 4 * n}},
		{"older", []int{5*(n+3) + 4, 4 * (n + 3)}},
	} {
		p.Baseline = test.baseline
		rounds := p.Sessions()
		if len(rounds[0]) != test.want[0] || len(rounds[1]) != test.want[1] {
			t.Errorf("got rounds of %d and %d sessions, want %v", len(rounds[0]), len(rounds[1]), test.want)
		}
		for _, sessions := range rounds {
			for i := 1; i < len(sessions); i++ {
				if a, b := sessions[i-1], sessions[i]; a.Subject.Name == b.Subject.Name && a.Program == b.Program {
					t.Errorf("got session %d of the same subject as the one before: %s", i, b.Subject.Name)
				}
			}
		}
	}
}
