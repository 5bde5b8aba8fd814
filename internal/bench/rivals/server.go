//go:build linux

package rivals

import (
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/bench/subject"
)

// A Server is the process that is measured: a subject, and a goroutine that
// dispatches the events. Its exported methods are called by the measuring process.
type Server struct {
	server subject.Server

	mu     sync.Mutex
	starts []int64                 // of the calls of Dispatch, on the monotonic clock
	calls  *hdrhistogram.Histogram // their durations, ns
	since  time.Time               // when the call that has not returned began, or zero
	err    error                   // the first one
}

// An Order is for events to dispatch, the numbers First to Last. Events with the
// number 0 do not count. A server gets its orders without a reply, which would cost as
// much as some deliveries.
type Order struct{ First, Last, Size int }

// Calls describes the calls of Dispatch since Begin. All times are ns.
type Calls struct {
	Starts  []int64
	P50     int64
	P99     int64
	Longest int64 // a call that has not returned included
}

// Memory is the server's after it has returned all garbage, in bytes.
type Memory struct {
	Heap, Stacks, Resident int64
	Sockets                int
}

// Start starts the subject of that name and returns its address.
func (s *Server) Start(name string, addr *string) error {
	if err := process.RaiseFileLimit(0); err != nil {
		return err
	}
	found, err := subject.Find(name)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if s.server, err = found.Start(l); err != nil {
		return err
	}
	s.calls = hdrhistogram.New(1, time.Minute.Nanoseconds(), 3)
	go s.run()
	*addr = l.Addr().String()
	return warmUp(*addr)
}

// warmUp connects a few clients for a moment. Otherwise what a server needs once
// would count as the memory of streams. The server may refuse them.
func warmUp(addr string) error {
	for range 20 {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"); err == nil {
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) //nolint:errcheck // it is a socket
			conn.Read(make([]byte, 512))                                 //nolint:errcheck // some subjects send nothing before the first event
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// run dispatches what is ordered.
func (s *Server) run() {
	orders := gob.NewDecoder(os.NewFile(process.OrdersFile, "orders"))
	for {
		var o Order
		if orders.Decode(&o) != nil {
			return // the measuring process is gone
		}
		for n := o.First; n <= o.Last; n++ {
			data := fmt.Sprintf("seq=%d ", n)
			data += strings.Repeat("x", max(0, o.Size-len(data)))
			s.begin(n)
			s.end(n, s.server.Dispatch(data))
		}
	}
}

func (s *Server) begin(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = append(s.starts, process.Monotonic())
	s.since = time.Now()
}

func (s *Server) end(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	if n == 0 {
		return
	}
	_ = s.calls.RecordValue(time.Since(s.since).Nanoseconds()) // fails above a minute, when nobody waits
	s.since = time.Time{}
}

// Begin forgets the calls of Dispatch so far.
func (s *Server) Begin(process.None, *process.None) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = s.starts[:0]
	s.calls.Reset()
	return nil
}

// Calls describes the calls since Begin.
func (s *Server) Calls(_ process.None, c *Calls) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*c = Calls{
		Starts:  append([]int64(nil), s.starts...),
		P50:     s.calls.ValueAtQuantile(50),
		P99:     s.calls.ValueAtQuantile(99),
		Longest: s.calls.Max(),
	}
	if !s.since.IsZero() {
		c.Longest = max(c.Longest, time.Since(s.since).Nanoseconds())
	}
	return s.err
}

// Memory returns all garbage to the system, and the heap and the stacks.
func (s *Server) Memory(_ process.None, m *Memory) error {
	debug.FreeOSMemory()
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	*m = Memory{Heap: int64(samples[0].Value.Uint64()), Stacks: int64(samples[1].Value.Uint64())}
	return nil
}

// Shutdown ends the streams and the server.
func (s *Server) Shutdown(patience time.Duration, _ *process.None) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.server.Shutdown(ctx)
}
