//go:build linux

package rivals_test

import (
	"fmt"
	"os"
	"slices"
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
				case r.Measure == "one" && (r.Figures["rate"] <= 0 || r.Figures["last"] <= 0 || r.Figures["cpu"] <= 0):
					t.Errorf("got %s, want three figures", r)
				case r.Measure == "flat" && r.Figures["rate"] <= 0:
					t.Errorf("got %s, want a rate", r)
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
	session := rivals.Session{Subject: subject.All[1], Baseline: "/bin/false", Streams: 1, Phases: []rivals.Phase{{Measure: "idle"}}}
	r := session.Run(t.Context(), 10*time.Second)[0]
	if want := "start: the process has ended"; !strings.HasPrefix(r.Failure, want) || r.Hangs {
		t.Errorf("got %s, want the failure %q", r, want)
	}
}

// A subject and its older version are measured in turns, each of them first in half of them.
func TestBaseline(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	session := rivals.Session{Subject: subject.All[1], Baseline: self, Slices: 2, Streams: 10, Phases: []rivals.Phase{
		{Measure: "one", Size: 100, For: 50 * time.Millisecond, Rate: 500},
		{Measure: "flat", Size: 100, For: 50 * time.Millisecond},
	}}
	var got []string
	for _, r := range session.Run(t.Context(), 10*time.Second) {
		if r.Failure != "" {
			t.Errorf("got %s, want no failure", r)
		}
		got = append(got, fmt.Sprint(r.Subject, " ", r.Measure, " ", r.Round))
	}
	want := []string{
		"detached, before one 0", "detached one 0", "detached, before flat 0", "detached flat 0",
		"detached one 1", "detached, before one 1", "detached flat 1", "detached, before flat 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got results %q, want %q", got, want)
	}
}

// The subjects take turns. None has two sessions in a row unless it is measured alone.
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
	rounds := p.Sessions()
	if got, want := [2]int{len(rounds[0]), len(rounds[1])}, [2]int{5*n + 2, 4 * n}; got != want {
		t.Errorf("got rounds of %v sessions, want %v", got, want)
	}
	for _, sessions := range rounds {
		for i := 1; i < len(sessions); i++ {
			if name := sessions[i].Subject.Name; sessions[i-1].Subject.Name == name {
				t.Errorf("got session %d of the same subject as the one before: %s", i, name)
			}
		}
	}
}
