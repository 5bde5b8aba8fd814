//go:build linux

package logs

import (
	"encoding/json"
	"os"
	"time"
)

// A Result is a figure of one round.
type Result struct {
	Engine string  `json:"engine"`
	Figure string  `json:"figure"`
	N      int     `json:"n,omitempty"` // followers, callers, or clients
	Round  int     `json:"round"`
	Value  float64 `json:"value"`
}

// Results is all that a run found.
type Results struct {
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Machine string    `json:"machine"`
	Load    string    `json:"load"` // of the machine, before and after
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

// The figures. Times are µs, but for those of clients that come back.
const (
	callP50   = "call p50"
	callP99   = "call p99"
	memberP50 = "member p50"
	memberP99 = "member p99"
	rate      = "rate"     // events a second
	cpuOne    = "cpu one"  // of all processes for an event, one at a time
	cpuFlat   = "cpu flat" // of all, with several callers at once
	backP50   = "back p50" // ms until half of the clients have what they missed
	backLast  = "back last"
	backCPU   = "back cpu"  // of the server's for a client
	backSlab  = "back slab" // KiB of the kernel's, for one end of a connection
	newP50    = "new p50"   // the same with a snapshot
	newLast   = "new last"
	newCPU    = "new cpu"
)
