// Package control is what the driver says to the server and the client
// processes, and what they answer: JSON, one line each, over their standard
// input and output.
//
// While something is measured there are two lines for an event at most, one
// that has it dispatched and one that says that all clients have it. Everything
// else is kept where it arises and asked for afterwards.
package control

import (
	"encoding/json"
	"io"
	"sync"
)

// An Op is what the driver wants.
type Op string

// What a server is told. All but Dispatch and Greet are answered.
const (
	Dispatch Op = "dispatch" // the events up to Event, each of Size bytes
	Greet    Op = "greet"    // dispatch an event with the number 0, which nobody counts
	Begin    Op = "begin"    // forget the times of what was dispatched
	Usage    Op = "usage"    // tell them, and the processor time so far
	Memory   Op = "memory"
	Shutdown Op = "shutdown" // within Patience
)

// What a client is told. Both are answered.
const (
	Open   Op = "open"   // connect Streams clients, and Stalled more that read nothing
	Report Op = "report" // on the events after Event
)

// A Request is what the driver says.
type Request struct {
	Op       Op     `json:"op"`
	Event    int    `json:"event,omitempty"`
	Size     int    `json:"size,omitempty"`
	Addr     string `json:"addr,omitempty"`
	HTTP2    bool   `json:"http2,omitempty"`
	Streams  int    `json:"streams,omitempty"`
	Stalled  int    `json:"stalled,omitempty"`
	Patience int64  `json:"patience,omitempty"` // ns
}

// A Reply is the answer, with what was asked for.
type Reply struct {
	Error    string        `json:"error,omitempty"`
	Addr     string        `json:"addr,omitempty"` // a server's first words
	Usage    *UsageReply   `json:"usage,omitempty"`
	Memory   *MemoryReply  `json:"memory,omitempty"`
	Report   *ClientReport `json:"report,omitempty"`
	Progress *Progress     `json:"progress,omitempty"` // said by a client unasked
}

// UsageReply is what a server used. All times are ns.
type UsageReply struct {
	CPU     int64   `json:"cpu"`     // user and system, of the whole process
	Starts  []int64 `json:"starts"`  // of each event since Begin, on the monotonic clock
	P50     int64   `json:"p50"`     // of the durations of the calls of Dispatch
	P99     int64   `json:"p99"`     //
	Longest int64   `json:"longest"` // of the calls, that which has not returned yet included
}

// MemoryReply is a server's memory in bytes, after all garbage was given back.
type MemoryReply struct {
	Resident int64 `json:"resident"` // less what is mapped from files, which is the program
	Heap     int64 `json:"heap"`
	Stacks   int64 `json:"stacks"`
	Sockets  int   `json:"sockets"` // open ones
}

// Progress is how far the clients are that do read.
type Progress struct {
	Greeted  int    `json:"greeted"`  // clients that have had an event at all
	Complete int    `json:"complete"` // the last event that all of them have
	Ended    int    `json:"ended"`    // streams
	Fault    string `json:"fault,omitempty"`
}

// ClientReport tells when the clients got what.
type ClientReport struct {
	Lasts   []int64 `json:"lasts"`   // when the last client had it, for each event, on the monotonic clock
	Clean   int     `json:"clean"`   // streams that ended with a last chunk, or END_STREAM
	LastEnd int64   `json:"lastEnd"` // when the last of all streams ended
	Lost    int     `json:"lost"`    // events, counted for each client
	Doubled int     `json:"doubled"`
	Swapped int     `json:"swapped"` // that came after a later one
}

// A Writer writes lines, one at a time.
type Writer struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{encoder: json.NewEncoder(w)} }

// Write writes v as a line.
func (w *Writer) Write(v any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.encoder.Encode(v)
}
