package stream

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// A Group is the members of a set, and delivers the set's events to them. Topic,
// Slow and Left must be set before first use.
type Group struct {
	Topic *eventlog.Topic
	Slow  SlowPolicy
	Left  func(owner any, reason error) // called for members that were announced; may be nil

	skipped  atomic.Uint64
	delivery turn // to walk over the members
	walks    uint
	began    time.Time // when the walk in progress was asked for; zero unless it is measured

	mu      sync.Mutex // before Stream.mu, before Log.mu
	members []*Member
	marking bool // a walk will send marks

	pace pace
}

// Skipped returns how many events were dropped by SkipSlow.
func (g *Group) Skipped() uint64 { return g.skipped.Load() }

// Deliver has a goroutine walk over the members after this call. It waits for
// nobody.
func (g *Group) Deliver() {
	if g.delivery.claim() {
		if g.walks++; g.walks%latencySample == 0 {
			g.began = time.Now()
		}
		go g.deliver()
	}
}

// deliver walks over the members until all of them know of all events: it has
// each written to, and checks that none is too far behind. The caller has the turn.
func (g *Group) deliver() {
	for {
		behind := g.walk()
		if !g.began.IsZero() {
			latency.observe(time.Since(g.began))
			g.began = time.Time{}
		}
		if behind {
			time.Sleep(paceTick)
		} else if g.delivery.yield() {
			return
		}
	}
}

// walk visits each member once and reports whether dispatching should wait.
func (g *Group) walk() (behind bool) {
	total := g.Topic.Total()
	w := walk{group: g}
	g.mu.Lock()
	w.rest = len(g.members)
	more := w.rest / walkMembers
	g.mu.Unlock()
	var others sync.WaitGroup
	for range min((runtime.GOMAXPROCS(0)+1)/2, 1+more) - 1 {
		others.Go(w.run)
	}
	w.run()
	others.Wait()
	waiting, taking := 0, 0
	for _, m := range w.late {
		switch m.progress() {
		case ready:
			waiting++
		case reading:
			taking++
		}
		g.limit(m)
	}
	behind = waiting > 0 || taking > (w.well+len(w.late))/8 && crowded()
	g.pace.walked(g.Topic, total, behind)
	return behind
}

const (
	// walkMembers is the number of members per extra walking goroutine, on half of
	// the processors at most: the rest are for those who read, and for the program.
	walkMembers = 2000

	// walkStep is how many members a goroutine visits at a time.
	walkStep = 64
)

// A walk is one round of visits to a group's members.
type walk struct {
	group *Group

	// Guarded by group.mu.
	rest int // the members before it have not been visited
	well int // members that are not late
	late []*Member
}

// run visits members until there are no more.
func (w *walk) run() {
	out := writers.Get().(*writer)
	defer out.release()
	var step [walkStep]*Member
	var late []*Member
	for {
		n := w.next(step[:])
		if n == 0 {
			return
		}
		out.now = time.Now()
		late = late[:0]
		for _, m := range step[:n] {
			if m.visit(out) {
				late = append(late, m)
			}
		}
		w.note(n, late)
	}
}

// next fills in the members to visit, and returns how many. They are taken from
// the end: when a member leaves, the last one takes its place, and of two places
// the later is visited first.
func (w *walk) next(step []*Member) int {
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	end := min(w.rest, len(w.group.members))
	w.rest = max(end-len(step), 0)
	return copy(step, w.group.members[w.rest:end])
}

func (w *walk) note(visited int, late []*Member) {
	w.group.mu.Lock()
	defer w.group.mu.Unlock()
	w.well += visited - len(late)
	w.late = append(w.late, late...)
}

// visit writes to the member's stream, or wakes the goroutine that does, and
// reports whether much waits all the same.
func (m *Member) visit(out *writer) (late bool) {
	s := m.stream
	seen := m.view == nil || m.see(false)
	s.mu.Lock()
	if !seen { // there is nothing to write, or its writer is about it
		defer s.mu.Unlock()
		return m.lateLocked()
	}
	if d := s.detachedLocked(); d != nil {
		err := d.writeLocked(out)
		late = len(d.flight) > 0 && m.lateLocked()
		d.settle(err, out.now)
		return late
	}
	defer s.mu.Unlock()
	if a := s.attached; a.turn.claim() {
		a.start()
		return false
	}
	return m.lateLocked()
}

// lateLocked reports whether much waits for the member's stream.
func (m *Member) lateLocked() bool {
	s := m.stream
	return m.group != nil && s.waitingLocked() > min(s.backlog/4, paceLate)
}

// progress reports how the writing to the member gets on. A stream that is held, or
// has ended, is stalled: that dispatching waits would not help it.
func (m *Member) progress() progress {
	s := m.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds != nil || s.reason != nil {
		return stalled
	}
	return s.progressLocked()
}

// CloseAll ends the streams of all members. It waits for none.
func (g *Group) CloseAll(last ...wire.Chunk) {
	for _, m := range g.Members() {
		m.stream.End(ErrClosed, last...)
	}
}

// CloseAt is CloseAll for an entry of a shared log: it ends the streams of members that
// were placed before it.
func (g *Group) CloseAt(c backplane.Cursor, last ...wire.Chunk) {
	g.mu.Lock() // a member that enters later is placed later
	members := slices.Clone(g.members)
	readers := make([]*eventlog.Reader, len(members))
	for i, m := range members {
		readers[i] = &m.Reader
	}
	placed := g.Topic.PassReaders(c, readers)
	g.mu.Unlock()
	for i, m := range members {
		if placed[i] {
			m.stream.End(ErrClosed, last...)
		}
	}
}
