//go:build linux

package driver

import (
	"encoding/json"
	"os"
	"time"
)

// A Measure is what is measured, in the words of the command line.
type Measure string

// The measures; BENCHMARKS.md tells what each is.
const (
	One       Measure = "one"
	Flat      Measure = "flat"
	Idle      Measure = "idle"
	Stalled   Measure = "stalled"
	Shutdown  Measure = "shutdown"
	KeepAlive Measure = "keepalive"
)

// Measures are all of them, in the order of the report.
var Measures = []Measure{One, Flat, Idle, Stalled, Shutdown, KeepAlive}

// The figures that the measures have.
const (
	CPU      = "cpu"      // µs of the server's for each delivery, or percent of a core
	Last     = "last"     // ms from the dispatch until the last client has the event, median
	Rate     = "rate"     // events/s
	Resident = "resident" // KiB for each stream, as are the next two; stalled: MiB in all
	Heap     = "heap"
	Stacks   = "stacks"
	P50      = "p50" // ms that a call of Dispatch takes, as do the next two
	P99      = "p99"
	Longest  = "longest"
	Closed   = "closed" // clients that stalled and were disconnected
	Took     = "took"   // ms until the last stream had ended
	Clean    = "clean"  // streams that ended as they should
)

// A Result is what one phase of a session gave.
type Result struct {
	Subject string             `json:"subject"`
	Measure Measure            `json:"measure"`
	Streams int                `json:"streams"`
	Size    int                `json:"size,omitempty"`
	Round   int                `json:"round"`
	Figures map[string]float64 `json:"figures,omitempty"`
	Failure string             `json:"failure,omitempty"`
	Hangs   bool               `json:"hangs,omitempty"`
}

// Results is all that a run of the program found.
type Results struct {
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Machine string    `json:"machine"`
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
