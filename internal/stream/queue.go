package stream

import (
	"math"
	"slices"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// What waits for a stream has several inputs: its queue, of what is dispatched to
// it alone, and a reader for each of its memberships. Stamps give all of it one
// order.

// pushWhenRoom waits until the chunk fits into the queue, the first in which does
// not count, and puts it there: in one step, so that of several callers that wait
// only those whose chunks fit get in.
func (s *Stream) pushWhenRoom(c wire.Chunk) error {
	var timer *time.Timer
	for {
		s.mu.Lock()
		if s.reason != nil {
			defer s.mu.Unlock()
			return s.reason
		}
		if s.roomLocked(c) {
			s.pushLocked(c)
			s.mu.Unlock()
			return nil
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room, held := s.room, s.holds != nil
		s.mu.Unlock()
		var late <-chan time.Time
		if s.writeTimeout > 0 && !held { // else it is not the client that is slow
			if timer == nil {
				timer = time.NewTimer(s.writeTimeout)
				defer timer.Stop()
			}
			late = timer.C
		}
		select {
		case <-room:
		case <-late:
			s.End(ErrSlow)
			return ErrSlow
		}
	}
}

func (s *Stream) roomLocked(c wire.Chunk) bool {
	if len(s.queue) == 0 {
		return true
	}
	first := s.queue[0]
	waiting := s.queued
	if !first.Free {
		waiting -= int64(len(first.Chunk))
	}
	return waiting+int64(len(c)) <= s.backlog
}

// pushLocked puts a chunk at the end of the queue.
func (s *Stream) pushLocked(c wire.Chunk) {
	// The stamp is taken under the lock, so that the queue is in their order.
	it := eventlog.Item{Stamp: eventlog.NextStamp(), Chunk: c}
	s.addressed(it)
	s.insertLocked(it)
}

// insertLocked puts an item into the queue, behind those with its stamp.
func (s *Stream) insertLocked(it eventlog.Item) {
	at := len(s.queue)
	for at > 0 && s.queue[at-1].Stamp > it.Stamp {
		at--
	}
	s.queue = slices.Insert(s.queue, at, it)
	if !it.Free {
		s.queued += int64(len(it.Chunk))
	}
}

// A Hold keeps a stream from being sent anything that is newer than the hold's stamp,
// while the state that comes first is being made.
type Hold struct {
	stamp uint64
	next  *Hold
}

// Hold holds the stream at this moment.
func (s *Stream) Hold() *Hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = &Hold{eventlog.LastStamp(), s.holds}
	return s.holds
}

// Release ends a hold. Items are put where their stamps say in the order, and what
// waits for the stream's members does not count as backlog: it was not the client
// that was slow.
func (s *Stream) Release(h *Hold, items []eventlog.Item) {
	s.prepare()
	s.mu.Lock()
	for at := &s.holds; *at != nil; at = &(*at).next {
		if *at == h {
			*at = h.next
			break
		}
	}
	if s.reason == nil {
		s.addressed(items...)
		for _, it := range items {
			s.insertLocked(it)
		}
	}
	pending := len(s.queue) > 0
	for _, m := range s.members {
		m.Input().Allow()
		pending = pending || m.Pending()
		if m.unseenLocked() {
			m.group.Deliver()
		}
	}
	s.wakeLocked()
	s.mu.Unlock()
	if pending {
		s.nudge()
	}
}

// wakeLocked wakes callers that wait for room.
func (s *Stream) wakeLocked() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// horizonLocked returns the stamp up to which everything is known: what one
// goroutine has sent before it is in our inputs by now. Newer events may be in one
// input, and older ones of the same goroutine not yet seen in another.
func (s *Stream) horizonLocked() uint64 {
	horizon := eventlog.LastStamp()
	for h := s.holds; h != nil; h = h.next {
		horizon = min(horizon, h.stamp)
	}
	for _, m := range s.members {
		if m.unseenLocked() {
			horizon = min(horizon, m.view.reader.Next().Stamp()-1)
		}
	}
	return horizon
}

// takeLocked appends what is pending to items, in order: all of it, or about as
// many bytes as are asked for.
func (s *Stream) takeLocked(items []eventlog.Item, most int64) []eventlog.Item {
	horizon := s.horizonLocked()
	if most < math.MaxInt64 {
		horizon = min(horizon, s.reachLocked(most))
	}
	inputs := 0
	for _, m := range s.members {
		m.goOnLocked()
		n := len(items)
		if items = m.takeLocked(items, horizon); len(items) > n {
			inputs++
		}
	}
	if n := len(items); len(s.queue) > 0 {
		if items = s.takeQueueLocked(items, horizon); len(items) > n {
			inputs++
		}
	}
	if inputs > 1 {
		slices.SortStableFunc(items, eventlog.ByStamp) // a snapshot's have one stamp
	}
	s.wakeLocked()
	return items
}

// takeQueueLocked appends the queue's part up to a stamp.
func (s *Stream) takeQueueLocked(items []eventlog.Item, horizon uint64) []eventlog.Item {
	n := len(s.queue)
	for n > 0 && s.queue[n-1].Stamp > horizon {
		n--
	}
	items = append(items, s.queue[:n]...)
	for _, it := range s.queue[:n] {
		if !it.Free {
			s.queued -= int64(len(it.Chunk))
		}
	}
	s.queue = slices.Delete(s.queue, 0, n)
	if len(s.queue) == 0 && cap(s.queue) > 64 {
		s.queue = nil
	}
	return items
}

// reachLocked returns a stamp up to which no input holds much more than so many
// bytes. A member of which only the latest of each key is sent does not count.
func (s *Stream) reachLocked(most int64) uint64 {
	reach := uint64(math.MaxUint64)
	rest := most
	for _, it := range s.queue {
		if rest -= int64(len(it.Chunk)); rest <= 0 {
			reach = it.Stamp
			break
		}
	}
	for _, m := range s.members {
		if m.Compacted() {
			return math.MaxUint64 // all of it is taken, and newer than what comes first elsewhere
		}
		if m.group.Slow != LatestPerKey {
			reach = m.Reach(most, reach)
		}
	}
	return reach
}

// onlyLocked returns the member whose events are all that can be pending for the
// stream, and can be taken one by one, if there is one.
func (s *Stream) onlyLocked() *Member {
	if len(s.members) != 1 || len(s.queue) > 0 || s.holds != nil {
		return nil
	}
	m := s.members[0]
	if m.group.Slow == LatestPerKey && (m.Compacted() || m.Several()) {
		return nil
	}
	return m
}

// waitingLocked returns how many bytes wait for the stream, not counting the next
// event: one of any size can be sent.
func (s *Stream) waitingLocked() int64 {
	bytes, next := s.queued, int64(0)
	if len(s.queue) > 0 && !s.queue[0].Free {
		next = int64(len(s.queue[0].Chunk))
	}
	for _, m := range s.members {
		b, n := m.Input().Waiting()
		bytes += b
		next = max(next, n)
	}
	return max(bytes-next, 0)
}
