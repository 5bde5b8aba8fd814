package sse

import (
	"log/slog"
	"sync/atomic"
)

// Stats tells what streams there are in this process; see [ReadStats].
type Stats struct {
	Attached int // open, with a handler that waits
	Detached int // open, without one

	// NotDetached is how many streams could not be detached so far, by the
	// reason: "TLS", "HTTP/2", "HTTP/1.0", "Content-Encoding", "no Hijack",
	// "no TCP socket" or "not Linux". Reasons that did not occur are left out.
	NotDetached map[string]int
}

// ReadStats returns the numbers as they are now.
func ReadStats() Stats {
	stats := Stats{
		Attached:    int(streams.attached.Load()),
		Detached:    int(streams.detached.Load()),
		NotDetached: make(map[string]int),
	}
	for o := range streams.notDetached {
		if n := streams.notDetached[o].Load(); n > 0 {
			stats.NotDetached[obstacle(o).String()] = int(n)
		}
	}
	return stats
}

var streams struct {
	attached, detached atomic.Int64
	notDetached        [obstacles]atomic.Int64
}

// An obstacle is a reason why a stream cannot be detached.
type obstacle int

const (
	noObstacle obstacle = iota
	notLinux
	overTLS
	overHTTP2
	overHTTP10
	encoded
	noHijack
	noSocket
	obstacles
)

func (o obstacle) String() string {
	return [obstacles]string{"", "not Linux", "TLS", "HTTP/2", "HTTP/1.0", "Content-Encoding", "no Hijack", "no TCP socket"}[o]
}

// tell tells whoever asks why the stream is not detached.
func (o obstacle) tell(s *EventSource) {
	streams.notDetached[o].Add(1)
	slog.Debug("sse: a stream keeps its handler", "reason", o.String(), "url", s.url)
}
