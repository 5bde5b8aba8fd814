package stream

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/poll"
	"example.org/sse/internal/wire"
)

// shardStreams is the number of detached streams per shard, as long as there are
// processors.
const shardStreams = 2000

// discardBytes is how much of what a client sends is thrown away at a time.
const discardBytes = 64 << 10

// A shard is a goroutine that looks after a number of detached streams: it is
// notified when a client leaves, or can take more, and handles keep-alives and
// timeouts. It ends when the last of its streams does.
type shard struct {
	network poll.Network
	poller  poll.Poller
	born    time.Time

	mu    sync.Mutex
	slots []slot
	free  []uint32 // of slots
	count int      // of streams
	over  bool
	next  time.Time // when tick has to be called
}

// A slot is a stream's place in a shard. The generation distinguishes an event for
// the stream that is there from one for its predecessor.
type slot struct {
	stream     *detached
	generation uint32
}

// shards are all shards of the process, by network.
var shards struct {
	mu sync.Mutex
	of map[poll.Network][]*shard
}

// joinLocked gives the stream to the shard with the fewest streams. Since the
// caller holds stream.mu, nothing happens to the stream before it is ready.
func (d *detached) joinLocked(network poll.Network) error {
	shards.mu.Lock()
	defer shards.mu.Unlock()
	all := shards.of[network]
	var least *shard
	fewest, total := 0, 0
	for _, sh := range all {
		n := sh.len()
		if total += n; least == nil || n < fewest {
			least, fewest = sh, n
		}
	}
	if least != nil && len(all) >= min(runtime.GOMAXPROCS(0), 1+total/shardStreams) {
		if err := least.add(d); !errors.Is(err, errShardOver) {
			return err
		}
	}
	poller, err := network.NewPoller()
	if err != nil {
		return err
	}
	sh := &shard{network: network, poller: poller, born: time.Now()}
	if err := sh.add(d); err != nil {
		poller.Close()
		return err
	}
	if shards.of == nil {
		shards.of = make(map[poll.Network][]*shard)
	}
	shards.of[network] = append(all, sh)
	go sh.run()
	return nil
}

// retire takes the shard out of the list.
func (sh *shard) retire() {
	shards.mu.Lock()
	defer shards.mu.Unlock()
	rest := slices.DeleteFunc(shards.of[sh.network], func(other *shard) bool { return other == sh })
	if shards.of[sh.network] = rest; len(rest) == 0 {
		delete(shards.of, sh.network)
	}
}

func (sh *shard) len() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.count
}

// add takes the stream in, unless the shard is ending.
func (sh *shard) add(d *detached) error {
	sh.mu.Lock()
	if sh.over {
		sh.mu.Unlock()
		return errShardOver
	}
	var i uint32
	if n := len(sh.free); n > 0 {
		i, sh.free = sh.free[n-1], sh.free[:n-1]
	} else {
		i = uint32(len(sh.slots))
		sh.slots = append(sh.slots, slot{})
	}
	sh.slots[i].stream = d
	sh.count++
	d.shard, d.token = sh, uint64(i)|uint64(sh.slots[i].generation)<<32
	sh.mu.Unlock()

	if err := sh.poller.Add(&d.socket, d.token); err != nil {
		sh.remove(d)
		return err
	}
	if s := d.stream; s.keepAlive > 0 {
		sh.wake(s.opened.Add(d.wrote+s.keepAlive), s.keepAlive)
	}
	return nil
}

var errShardOver = errors.New("the shard is ending")

// remove forgets the stream, whose socket is closed.
func (sh *shard) remove(d *detached) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := uint32(d.token)
	sh.slots[i] = slot{generation: sh.slots[i].generation + 1}
	sh.free = append(sh.free, i)
	if sh.count--; sh.count == 0 {
		sh.poller.Interrupt()
	}
}

// find returns the stream that has the token, if it is still there.
func (sh *shard) find(token uint64) *detached {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sl := sh.slots[uint32(token)]; sl.generation == uint32(token>>32) {
		return sl.stream
	}
	return nil
}

// wake has tick called at that time, or later by a part of the interval, so that
// there are not more ticks than needed.
func (sh *shard) wake(at time.Time, interval time.Duration) {
	step := max(interval/64, time.Millisecond)
	if over := at.Sub(sh.born) % step; over > 0 {
		at = at.Add(step - over)
	}
	sh.mu.Lock()
	sooner := sh.next.IsZero() || at.Before(sh.next)
	if sooner {
		sh.next = at
	}
	sh.mu.Unlock()
	if sooner {
		sh.poller.Interrupt()
	}
}

// run looks after the shard's streams until there is none.
func (sh *shard) run() {
	events := make([]poll.Event, 128)
	w := newWriter()
	var streams []*detached
	for {
		sh.mu.Lock()
		if sh.over = sh.count == 0; sh.over {
			sh.mu.Unlock()
			break
		}
		next := sh.next
		sh.mu.Unlock()
		n, err := sh.poller.Wait(events, next)
		if err != nil {
			sh.fail(err)
			continue
		}
		w.now = time.Now()
		for _, e := range events[:n] {
			if d := sh.find(e.Token); d != nil {
				d.ready(e, w)
			}
		}
		if !next.IsZero() && !w.now.Before(next) {
			streams = sh.tick(streams[:0], w)
		}
		w.forget()
	}
	sh.retire()
	sh.poller.Close()
}

// tick calls tick of each stream. It returns the list, to be used again.
func (sh *shard) tick(streams []*detached, w *writer) []*detached {
	streams = sh.streams(streams)
	sh.mu.Lock()
	sh.next = time.Time{}
	sh.mu.Unlock()
	for _, d := range streams {
		if next, interval := d.tick(w); !next.IsZero() {
			sh.wake(next, interval)
		}
	}
	clear(streams)
	return streams
}

// streams appends all streams to a list.
func (sh *shard) streams(list []*detached) []*detached {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, sl := range sh.slots {
		if sl.stream != nil {
			list = append(list, sl.stream)
		}
	}
	return list
}

// fail ends all streams, since their sockets can no longer be watched.
func (sh *shard) fail(err error) {
	for _, d := range sh.streams(nil) {
		d.stream.mu.Lock()
		if d.lingering {
			d.closeLocked(true)
		}
		d.settle(d.lostLocked(err), time.Now())
	}
}

// ready handles an event of the socket.
func (d *detached) ready(e poll.Event, w *writer) {
	s := d.stream
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
			d.closeLocked(false)
		}
		s.mu.Unlock()
		return
	case errors.Is(err, io.EOF) || err == nil && e.Ended:
		err = ErrGone
	case err != nil:
		err = d.lostLocked(err)
	case e.Writable && len(d.flight) > 0:
		err = d.writeLocked(w)
	}
	d.settle(err, w.now)
}

// tick does what has to be done by now, and returns when to come again: at a
// time that may be late by a part of the interval.
func (d *detached) tick(w *writer) (next time.Time, interval time.Duration) {
	s := d.stream
	s.mu.Lock()
	now := w.now.Sub(s.opened)
	var err error
	switch {
	case !d.open || d.broken:
	case d.lingering:
		if now >= d.by {
			d.closeLocked(false)
			s.mu.Unlock()
			return time.Time{}, 0
		}
		next, interval = s.opened.Add(d.by), linger
	case d.by == never:
	case d.by != 0:
		if now >= d.by {
			err = ErrSlow
		} else {
			next, interval = s.opened.Add(d.by), s.patienceLocked()
		}
	case s.keepAlive > 0:
		if now-d.wrote >= s.keepAlive {
			err = d.writeLocked(w) // an event, if one is just being delivered
		}
		if now-d.wrote >= s.keepAlive && err == nil && len(d.flight) == 0 {
			d.flight = s.code(append(d.flight, eventlog.Item{Chunk: wire.Comment}))
			err = d.writeLocked(w)
		}
		next, interval = s.opened.Add(d.wrote+s.keepAlive), s.keepAlive
	}
	d.settle(err, w.now)
	return next, interval
}
