package sse

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// An item is a piece of a stream that waits to be written.
type item struct {
	stamp uint64 // 0 for what is no event
	chunk chunk
}

func byStamp(a, b item) int { return cmp.Compare(a.stamp, b.stamp) }

// pushWhenRoom waits until the chunk fits into the queue, the first in which does
// not count, and puts it there: in one step, so that of many who wait only those
// get in who fit.
func (s *EventSource) pushWhenRoom(c chunk) error {
	var expired <-chan time.Time
	for {
		s.mu.Lock()
		if s.reason != nil || len(s.queue) == 0 || s.queued-len(s.queue[0].chunk)+len(c) <= s.backlog {
			err := s.push(c)
			s.mu.Unlock()
			return err
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		if expired == nil && s.writeTimeout > 0 {
			timer := time.NewTimer(s.writeTimeout)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-room:
		case <-s.Done():
		case <-expired:
			s.end(ErrSlow)
			return ErrSlow
		}
	}
}

// push puts a chunk at the end of the queue. The caller holds s.mu.
func (s *EventSource) push(c chunk) error {
	if s.reason != nil {
		return s.reason
	}
	// The stamp is taken under the lock, so that the queue is in their order.
	it := item{stamp: stamps.Add(1), chunk: c}
	if s.order.goroutine != 0 && s.order.goroutine == goroutine() {
		it.stamp = s.order.stamp
	}
	s.insert(it)
	return nil
}

// insert puts an item into the queue, behind those with its stamp. The caller
// holds s.mu.
func (s *EventSource) insert(it item) {
	at := len(s.queue)
	for at > 0 && s.queue[at-1].stamp > it.stamp {
		at--
	}
	s.queue = slices.Insert(s.queue, at, it)
	s.queued += len(it.chunk)
}

// offer is DispatchEvent for callers that wait for nobody: a source for which
// too much waits already is ended.
func (s *EventSource) offer(c chunk) bool {
	most := int64(s.backlog)
	if s.progress(paceStall(true)) != progressNone {
		most *= readingBacklogs
	}
	s.mu.Lock()
	full := len(s.queue) > 0 && s.waiting()+int64(len(c)) > most
	var err error
	if !full {
		err = s.push(c)
	}
	s.mu.Unlock()
	if full {
		s.end(ErrSlow) // does nothing to one that has ended
		return false
	}
	s.nudge()
	return err == nil
}

// take appends what is pending to items, in order: all of it, or about as many
// bytes as are asked for, if there is so much. The caller holds s.mu.
func (s *EventSource) take(items []item, most int64) []item {
	// Whatever one goroutine has sent before the last stamp is in our inputs by
	// now. Newer events may be in one, and older ones of the same goroutine not
	// yet seen in another: they are for the next time.
	horizon := stamps.Load()
	if s.order.goroutine != 0 {
		horizon = s.order.stamp // what a snapshot dispatches comes first
	}
	if most < math.MaxInt64 {
		horizon = min(horizon, s.reach(most))
	}
	inputs := 0
	for _, m := range s.members {
		if n := len(items); m.held == 0 {
			if items = m.take(items, horizon); len(items) > n {
				inputs++
			}
		}
	}
	if n := len(items); len(s.queue) > 0 {
		if items = s.takeQueue(items, horizon); len(items) > n {
			inputs++
		}
	}
	if inputs > 1 {
		slices.SortStableFunc(items, byStamp) // a snapshot's have one stamp
	}
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	return items
}

// takeQueue appends the queue's part up to a stamp.
func (s *EventSource) takeQueue(items []item, horizon uint64) []item {
	n := len(s.queue)
	for n > 0 && s.queue[n-1].stamp > horizon {
		n--
	}
	items = append(items, s.queue[:n]...)
	for _, it := range s.queue[:n] {
		s.queued -= len(it.chunk)
	}
	s.queue = slices.Delete(s.queue, 0, n)
	if len(s.queue) == 0 && cap(s.queue) > 64 {
		s.queue = nil
	}
	return items
}

// reach returns a stamp up to which no input holds much more than so many bytes.
// A member of which only the latest of each key is sent does not count.
func (s *EventSource) reach(most int64) uint64 {
	horizon := uint64(math.MaxUint64)
	rest := most
	for _, it := range s.queue {
		if rest -= int64(len(it.chunk)); rest <= 0 {
			horizon = it.stamp
			break
		}
	}
	for _, m := range s.members {
		if m.latest != nil {
			return math.MaxUint64 // all of it is taken, and newer than what comes first elsewhere
		}
		if m.held > 0 || m.set.Slow == LatestPerKey {
			continue
		}
		rest := most
		for e := m.cursor; e.filled.Load() && e.stamp < horizon; e = e.next {
			if rest -= int64(len(e.chunk)); rest <= 0 {
				horizon = e.stamp
			}
		}
	}
	return horizon
}

// waiting returns how many bytes wait for the source, not counting the next
// event: one of any size can be sent. The caller holds s.mu.
func (s *EventSource) waiting() int64 {
	bytes, next := int64(s.queued), int64(0)
	if len(s.queue) > 0 {
		next = int64(len(s.queue[0].chunk))
	}
	for _, m := range s.members {
		b, n := m.waiting()
		bytes += b
		next = max(next, n)
	}
	return max(bytes-next, 0)
}
