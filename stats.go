package sse

import "example.org/sse/internal/stream"

// Stats are the numbers of streams in this process; see [ReadStats].
type Stats struct {
	Attached int // open, with a handler that waits
	Detached int // open, without one

	// NotDetached is how many streams of [Serve] could not be detached so far, by
	// the reason: "no sse.Listener", "TLS", "HTTP/2", "HTTP/3", "HTTP/1.0",
	// "Content-Encoding", "response held back" (middleware has not sent the head
	// when it was flushed), "no Hijack", "no TCP socket", "blocking socket" (the
	// program has called Fd of its File) or "not Linux". Reasons
	// that did not occur are left out.
	NotDetached map[string]int
}

// ReadStats returns the numbers as they are now.
func ReadStats() (s Stats) {
	s.Attached, s.Detached, s.NotDetached = stream.Counts()
	return s
}
