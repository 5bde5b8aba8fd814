package stream

import "sync/atomic"

// counts are the streams of the process.
var counts struct {
	attached, detached atomic.Int64
	notDetached        [obstacles]atomic.Int64
}

// Counts returns how many streams are attached and detached now, and how many
// could not be detached so far, by the reason.
func Counts() (attached, detached int, notDetached map[string]int) {
	notDetached = make(map[string]int)
	for o := range counts.notDetached {
		if n := counts.notDetached[o].Load(); n > 0 {
			notDetached[obstacle(o).String()] = int(n)
		}
	}
	return int(counts.attached.Load()), int(counts.detached.Load()), notDetached
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
