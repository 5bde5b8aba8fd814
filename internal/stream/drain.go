package stream

import (
	"slices"
	"sync"
	"time"
)

// A Drain ends the streams of one server, or of one listener, when that shuts
// down. The zero value is ready to use.
type Drain struct {
	mu       sync.Mutex
	started  bool
	streams  []*Stream
	detached int
	none     chan struct{} // closed when none is detached; nil if nobody waits
}

// add takes the stream in. It reports false if the drain has started.
func (d *Drain) add(s *Stream) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.drain, s.drainAt = d, int32(len(d.streams))
	d.streams = append(d.streams, s)
	return !d.started
}

// addDetached counts the stream as detached.
func (d *Drain) addDetached() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.detached++
}

// removeDetached counts it no more.
func (d *Drain) removeDetached() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.detached--; d.detached == 0 && d.none != nil {
		close(d.none)
		d.none = nil
	}
}

func (d *Drain) remove(s *Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := len(d.streams) - 1
	d.streams[s.drainAt] = d.streams[last]
	d.streams[s.drainAt].drainAt = s.drainAt
	d.streams[last] = nil
	if d.streams = d.streams[:last]; last == 0 {
		d.streams = nil // a slice does not shrink by itself
	}
}

// Start ends all streams, and those that begin from now on. It never blocks.
func (d *Drain) Start() {
	d.mu.Lock()
	d.started = true
	streams := slices.Clone(d.streams)
	d.mu.Unlock()
	for _, s := range streams {
		s.End(ErrShutdown)
	}
}

// WaitDetached waits until no stream is detached, or for the given time.
func (d *Drain) WaitDetached(most time.Duration) {
	d.mu.Lock()
	if d.detached == 0 {
		d.mu.Unlock()
		return
	}
	if d.none == nil {
		d.none = make(chan struct{})
	}
	none := d.none
	d.mu.Unlock()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	}
}
