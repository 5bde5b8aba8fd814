//go:build linux

package pages

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/starfederation/datastar-go/datastar"

	"example.org/sse"
	"example.org/sse/internal/bench/process"
	"example.org/sse/zstd"
)

// A subject is what is measured, and the coding for which its clients ask.
type subject struct {
	name, coding string
	ours         bool
	start        func() (http.Handler, func(page string))
}

var subjects = []subject{
	{base, "identity", true, ours()},
	{"gzip", "gzip", true, ours(sse.Gzip())},
	{"zstd", "zstd", true, ours(zstd.Coding())},
	{"datastar", "identity", false, startDatastar},
	{"datastar, gzip", "gzip", false, startDatastar},
	{"datastar, zstd", "zstd", false, startDatastar},
	{"datastar, brotli", "br", false, startDatastar},
}

// base is the subject that ratios are to.
const base = "identity"

// Names returns the names of all subjects.
func Names() (names []string) {
	for _, s := range subjects {
		names = append(names, s.name)
	}
	return names
}

func ours(codings ...sse.Coding) func() (http.Handler, func(string)) {
	return func() (http.Handler, func(string)) {
		group := &sse.Set{History: -1, AcceptOptions: &sse.AcceptOptions{Compress: codings}}
		return group, func(page string) { group.Dispatch("", page) }
	}
}

// startDatastar has a compressor for each stream, with the package's defaults.
func startDatastar() (http.Handler, func(string)) {
	var mu sync.Mutex
	clients := make(map[chan string]bool)
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream := datastar.NewSSE(w, r, datastar.WithCompression(
			datastar.WithGzip(), datastar.WithZstd(), datastar.WithBrotli(), datastar.WithServerPriority()))
		pages := make(chan string, 16)
		mu.Lock()
		clients[pages] = true
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			delete(clients, pages)
		}()
		for r.Context().Err() == nil {
			select {
			case page := <-pages:
				if stream.PatchElements(page) != nil {
					return
				}
			case <-r.Context().Done():
			}
		}
	}
	return http.HandlerFunc(handler), func(page string) {
		mu.Lock()
		defer mu.Unlock()
		for pages := range clients {
			pages <- page
		}
	}
}

// A Server is the process that is measured. Its exported methods are called by the
// measuring process.
type Server struct {
	dispatch func(page string)
	sent     int
}

// Start starts the subject with that name and returns its address.
func (s *Server) Start(name string, addr *string) error {
	i := slices.Index(Names(), name)
	if i < 0 {
		return fmt.Errorf("unknown subject %q", name)
	}
	if err := process.RaiseFileLimit(0); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var handler http.Handler
	handler, s.dispatch = subjects[i].start()
	go http.Serve(sse.Listener(l), handler) //nolint:errcheck,gosec // the process is killed
	*addr = l.Addr().String()
	return nil
}

// Events are what Dispatch dispatches.
type Events struct {
	Size, Count int
	Pause       time.Duration // after each
}

// Dispatch dispatches pages.
func (s *Server) Dispatch(p Events, _ *process.None) error {
	for range p.Count {
		s.sent++
		s.dispatch(page(p.Size, s.sent))
		time.Sleep(p.Pause)
	}
	return nil
}

// page returns the n-th state of a page, of which every 60th row changes.
func page(size, n int) string {
	var b strings.Builder
	for row := 0; b.Len() < size; row++ {
		value := row * 7919
		if row%60 == n%60 {
			value += n
		}
		fmt.Fprintf(&b, `<tr id="row-%d"><td class="name">Row %d</td><td class="value">%x</td></tr>`, row, row, uint32(value)*2654435761)
	}
	return b.String()[:size]
}
