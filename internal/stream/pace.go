package stream

import (
	"sync"
	"time"

	"example.org/sse/internal/eventlog"
)

// A program can dispatch faster than the machine writes. A dispatch may be paceLead
// ahead of the walk that writes to the members; beyond that it waits for the walk.
// It also waits while a member's goroutine is ready to write and has not got a
// processor, and, where goroutines have to wait long for one, while more than a few
// members are late though they read. It waits for paceWait at most. Where there are
// processors, no client holds up a dispatch.
const (
	paceLead = 64 << 10
	paceWait = 20 * time.Millisecond

	// paceLate is how much waits for a member that is late; a quarter of its
	// backlog is enough, too. Less makes for more system calls, more for long
	// rounds, in which the dispatching goroutine has to queue as well.
	paceLate = 64 << 10

	// paceTick is the time between walks while the members are behind.
	paceTick = time.Millisecond
)

// pace slows a program down. The zero value is ready to use.
type pace struct {
	mu     sync.Mutex
	total  int64 // of the topic, at the last walk
	single int64 // bytes given to each member apart since then, by a Map
	behind bool
	calm   chan struct{} // closed when it is no longer ahead; nil if nobody waits
}

// aheadLocked reports whether the group has got ahead of its members as far as it
// may.
func (p *pace) aheadLocked(t *eventlog.Topic) bool {
	return p.behind || t.Total()-p.total+p.single > paceLead
}

// walked notes that a walk has visited all members.
func (p *pace) walked(t *eventlog.Topic, total int64, behind bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.single, p.behind = total, 0, behind
	if p.calm != nil && !p.aheadLocked(t) {
		close(p.calm)
		p.calm = nil
	}
}

// Pace waits, for a short time, if events are dispatched faster than the machine
// writes, and reports whether it did. Bytes were given to each member apart, and not
// appended to the topic.
func (g *Group) Pace(bytes int64) (waited bool) {
	p := &g.pace
	p.mu.Lock()
	p.single += bytes
	if !p.aheadLocked(g.Topic) {
		p.mu.Unlock()
		return false
	}
	if p.calm == nil {
		p.calm = make(chan struct{})
	}
	calm := p.calm
	p.mu.Unlock()
	timer := time.NewTimer(paceWait)
	defer timer.Stop()
	select {
	case <-calm:
	case <-timer.C:
	}
	return true
}
