package sse

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"example.org/sse/internal/poll"
)

const (
	// flightBytes is about how much is written to a socket at once, if it is not
	// one larger event, and so may be on its way to a slow client besides what
	// waits for it.
	flightBytes = 64 << 10

	// discardBytes is how much of what a client sends is thrown away at a time.
	discardBytes = 64 << 10

	// linger is how long a client has to close its end of a connection after
	// ours. To close it at once could cost the client what it has not read yet,
	// if it sends something; net/http waits as long.
	linger = 500 * time.Millisecond
)

// detached is the way of a stream to its client once its handler has returned:
// whoever has something to write does so, as much as the socket takes at once.
// When it takes more, and when the client leaves, a shard tells.
type detached struct {
	source *EventSource

	// Guarded by source.mu.
	socket    poll.Socket
	open      bool          // the socket is not closed
	flight    []item        // the part of the last write that the socket has not taken
	wrote     time.Duration // the last write, after source.opened
	by        time.Duration // after source.opened, 0 if nothing waits; lingering, when to close
	until     uint64        // the last stamp that has to be written by then
	broken    bool          // the socket is of no use any more
	lingering bool          // all is written, and the client has to close its end

	shard   *shard
	token   uint64 // of the shard
	handler uint64 // the goroutine that called Detach
}

// nudge writes what is pending.
func (d *detached) nudge() {
	r := rounds.Get().(*round)
	defer r.release()
	r.now = time.Now()
	d.source.mu.Lock()
	err := d.write(r)
	d.settle(err, r.now)
}

// settle ends the stream if there is an error, or if all is written that has to
// be. The caller holds source.mu, which is unlocked.
func (d *detached) settle(err error, now time.Time) {
	s := d.source
	if err != nil {
		d.broken = true
	}
	over := d.over()
	if over {
		d.leave(now)
	}
	s.mu.Unlock()
	if over {
		streams.detached.Add(-1)
		s.finish()
	} else if err != nil {
		s.end(err) // and comes here again
	}
}

// write writes what is pending, as much as the socket takes. The caller holds
// source.mu.
func (d *detached) write(r *round) error {
	s := d.source
	if d.broken || d.lingering || !d.open || s.reason != nil && !graceful(s.reason) {
		return nil
	}
	for {
		if len(d.flight) == 0 {
			if m := s.only(); m != nil {
				if !m.cursor.filled.Load() {
					d.by = 0
					return nil
				}
				from := m.cursor
				joint, to := r.join(from)
				n, err := d.socket.Write(joint)
				if err != nil {
					return d.lost(err)
				}
				m.cursor = to
				d.sent(n, from.stamp, r.now)
				if n == len(joint) {
					continue
				}
				for e := from; e != to; e = e.next {
					d.flight = append(d.flight, item{stamp: e.stamp, chunk: e.chunk})
				}
				d.advance(n)
				d.stuck(r.now)
				return nil
			}
			if d.flight = s.take(d.flight, flightBytes); len(d.flight) == 0 {
				d.flight, d.by = nil, 0
				return nil
			}
		}
		joint := r.joinItems(d.flight)
		n, err := d.socket.Write(joint)
		if err != nil {
			return d.lost(err)
		}
		d.sent(n, d.flight[0].stamp, r.now)
		d.advance(n)
		if n < len(joint) {
			d.stuck(r.now)
			return nil
		}
	}
}

// sent takes note of n bytes that were written. The caller holds source.mu.
func (d *detached) sent(n int, stamp uint64, now time.Time) {
	if n == 0 {
		return
	}
	s := d.source
	d.wrote = now.Sub(s.opened)
	if len(d.flight) > 0 {
		s.moved.Store(now.UnixNano())
	}
	if stamp > 0 {
		s.updated = d.wrote
	}
}

// advance drops n bytes from the flight. The caller holds source.mu.
func (d *detached) advance(n int) {
	i := 0
	for ; i < len(d.flight) && n >= len(d.flight[i].chunk); i++ {
		n -= len(d.flight[i].chunk)
	}
	clear(d.flight[:i])
	if d.flight = d.flight[i:]; len(d.flight) == 0 {
		d.flight = nil
	} else {
		d.flight[0].chunk = d.flight[0].chunk[n:]
	}
}

// stuck sets the time by which all that is pending has to be written, unless
// that is set already. The caller holds source.mu.
func (d *detached) stuck(now time.Time) {
	s := d.source
	if d.by != 0 && d.flight[0].stamp <= d.until {
		return
	}
	if d.by == 0 {
		s.moved.Store(now.UnixNano())
	}
	d.until = stamps.Load()
	d.by = never
	if deadline := s.deadline(now); !deadline.IsZero() {
		d.by = max(deadline.Sub(s.opened), 1)
		d.shard.wake(deadline, s.patience())
	}
}

// patience is how long a client may take for what is written to it. The caller
// holds s.mu.
func (s *EventSource) patience() time.Duration {
	if s.drainBy == 0 {
		return s.writeTimeout
	}
	return drainTimeout
}

// never is a time after everything.
const never = 1<<63 - 1

// hurry brings the end of a shutdown's patience forward to what is written. The
// caller holds source.mu.
func (d *detached) hurry() {
	s := d.source
	if d.by > s.drainBy && !d.lingering {
		d.by = s.drainBy
		d.shard.wake(s.opened.Add(d.by), drainTimeout)
	}
}

// lost returns why the stream ends if the socket fails. The caller holds
// source.mu.
func (d *detached) lost(err error) error {
	if errors.Is(err, syscall.ETIMEDOUT) && d.by != 0 {
		return ErrSlow // the kernel's clock was first
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// over reports whether the stream has ended, all is written that has to be, and
// it is not yet known. The caller holds source.mu.
func (d *detached) over() bool {
	s := d.source
	switch {
	case s.reason == nil || d.lingering || !d.open:
		return false
	case d.broken || !graceful(s.reason):
		return true
	}
	return len(d.flight) == 0 && len(s.queue) == 0
}

// leave closes the connection, at once or, after a clean end, when the client has
// done so. The caller holds source.mu.
func (d *detached) leave(now time.Time) {
	s := d.source
	d.flight = nil
	if !d.broken && graceful(s.reason) && d.socket.CloseWrite() == nil {
		d.lingering = true
		d.by = now.Add(linger).Sub(s.opened)
		d.shard.wake(now.Add(linger), linger)
		return
	}
	d.close(s.reason == ErrSlow)
}

// close closes the socket. The caller holds source.mu.
func (d *detached) close(abort bool) {
	d.socket.Close(abort)
	d.open = false
	d.shard.remove(d)
}

// ready is called when something has happened to the socket.
func (d *detached) ready(e poll.Event, r *round) {
	s := d.source
	s.mu.Lock()
	if !d.open || d.broken {
		s.mu.Unlock()
		return
	}
	var n int
	var err error
	if e.Readable || e.Ended {
		n, err = d.socket.Discard(discardBytes)
		if n >= discardBytes && err == nil && !e.Ended {
			err = d.shard.poller.Add(&d.socket, d.token) // the rest is for later
		}
	}
	switch {
	case d.lingering:
		if err != nil || e.Ended {
			d.close(false)
		}
		s.mu.Unlock()
		return
	case errors.Is(err, io.EOF) || err == nil && e.Ended:
		err = ErrGone
	case err != nil:
		err = d.lost(err)
	case e.Writable && len(d.flight) > 0:
		err = d.write(r)
	}
	d.settle(err, r.now)
}

// tick does what has to be done by now, and returns when to come again: at a
// time that may be late by a part of the interval.
func (d *detached) tick(r *round) (next time.Time, interval time.Duration) {
	s := d.source
	s.mu.Lock()
	now := r.now.Sub(s.opened)
	var err error
	switch {
	case !d.open || d.broken:
	case d.lingering:
		if now >= d.by {
			d.close(false)
			s.mu.Unlock()
			return time.Time{}, 0
		}
		next, interval = s.opened.Add(d.by), linger
	case d.by == never:
	case d.by != 0:
		if now >= d.by {
			err = ErrSlow
		} else {
			next, interval = s.opened.Add(d.by), s.patience()
		}
	case s.keepAlive > 0:
		if now-d.wrote >= s.keepAlive {
			d.flight = append(d.flight, item{chunk: comment})
			err = d.write(r)
		}
		next, interval = s.opened.Add(d.wrote+s.keepAlive), s.keepAlive
	}
	d.settle(err, r.now)
	return next, interval
}
