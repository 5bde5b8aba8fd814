package stream

import (
	"errors"
	"sync"

	"example.org/sse/internal/eventlog"
)

// counts are the streams of the process.
var counts struct {
	mu sync.Mutex
	Streams
	notDetached [obstacles]uint64
}

// Streams are numbers of streams.
type Streams struct {
	Attached, Detached int               // open
	Opened             uint64            // so far
	Ended              map[string]uint64 // so far, by the kind of reason
}

// ends are the kinds of reasons why streams end. The last one is any other.
var ends = []struct {
	name   string
	reason error
}{
	{"closed", ErrClosed},
	{"gone", ErrGone},
	{"slow", ErrSlow},
	{"shutdown", ErrShutdown},
	{"expired", ErrExpired},
	{"max-age", ErrMaxAge},
	{"limited", ErrLimited},
	{"other", nil},
}

// endOf returns a reason's kind.
func endOf(reason error) string {
	for _, end := range ends {
		if errors.Is(reason, end.reason) {
			return end.name
		}
	}
	return ends[len(ends)-1].name
}

// Counts returns how many streams there are, and how many could not be detached so far,
// by the reason.
func Counts() (streams Streams, notDetached map[string]int) {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	streams = counts.Streams
	streams.Ended = make(map[string]uint64)
	for _, end := range ends {
		streams.Ended[end.name] = counts.Ended[end.name]
	}
	notDetached = make(map[string]int)
	for o, n := range counts.notDetached {
		if n > 0 {
			notDetached[obstacle(o).String()] = int(n)
		}
	}
	return streams, notDetached
}

func countOpened() {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	counts.Opened++
	counts.Attached++
}

func countDetached() {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	counts.Attached--
	counts.Detached++
}

// countEnded counts the end of a stream that was attached, or detached.
func countEnded(open *int, reason error) {
	end := endOf(reason)
	counts.mu.Lock()
	defer counts.mu.Unlock()
	*open--
	if counts.Ended == nil {
		counts.Ended = make(map[string]uint64)
	}
	counts.Ended[end]++
}

func (o obstacle) count() {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	counts.notDetached[o]++
}

// counters returns where the stream counts its events.
func (s *Stream) counters() *eventlog.Counters {
	return eventlog.CountersOf(uint32(s.opened.Nanosecond() >> 8)) // by chance
}

// volume returns how many events the items are, and their bytes.
func volume(items []eventlog.Item) (events, bytes int64) {
	for _, it := range items {
		if it.Stamp > 0 {
			events++
			bytes += int64(len(it.Chunk))
		}
	}
	return events, bytes
}

// addressed counts items that were given to this stream alone.
func (s *Stream) addressed(items ...eventlog.Item) {
	s.counters().Addressed.Add(volume(items))
}

// unsent counts items that are not sent, since the stream has ended.
func (s *Stream) unsent(items []eventlog.Item) {
	if len(items) > 0 {
		s.counters().Unsent.Add(volume(items))
	}
}

// An obstacle is a reason why a stream cannot be detached.
type obstacle int

const (
	noObstacle obstacle = iota
	notLinux
	noListener
	overTLS
	overHTTP2
	overHTTP3
	overHTTP10
	encoded
	heldBack
	noHijack
	noSocket
	blocking
	obstacles
)

func (o obstacle) String() string {
	return [obstacles]string{
		"", "not Linux", "no sse.Listener", "TLS", "HTTP/2", "HTTP/3", "HTTP/1.0",
		"Content-Encoding", "response held back", "no Hijack", "no TCP socket", "blocking socket",
	}[o]
}
