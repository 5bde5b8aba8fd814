package eventlog

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/coding"
	"example.org/sse/internal/wire"
)

// Options bound a log's history: 0 is the default. With negative Events nothing
// is kept and events get no ids; a negative value of another field is no bound.
type Options struct {
	Events int           // 1024
	Bytes  int           // 1 MiB
	Age    time.Duration // 5 minutes

	Many   bool // topics come and go, as a hub's do
	Shared bool // the log is a copy of one that processes share: ids are its cursors
}

// A Log gives the events of its topics their order and their ids, and keeps the
// newest for clients that reconnect.
type Log struct {
	Options

	epoch  string // random: an id of another log or process is recognized by it
	counts *Counters

	mu        sync.Mutex
	live      bool             // readers can be placed; a shared log is not live before it is up to date
	changed   chan struct{}    // closed when a shared log has more, or its liveness changes; nil if nobody waits
	head      uint64           // the stamp of the newest event
	cursor    backplane.Cursor // of the newest event of a shared log
	forgotten uint64           // the stamp of the newest event that is no longer kept
	gaps      uint64           // how often Forget has been called
	gapAt     uint64           // the stamp of the newest gap
	history   history
}

// New returns a log.
func New(o Options) *Log {
	if o.Events == 0 {
		o.Events = 1024
	}
	if o.Bytes == 0 {
		o.Bytes = 1 << 20
	}
	if o.Age == 0 {
		o.Age = defaultAge
	}
	var random [8]byte
	rand.Read(random[:]) // never fails, since Go 1.24
	start := LastStamp()
	return &Log{
		Options:   o,
		epoch:     strconv.FormatUint(binary.LittleEndian.Uint64(random[:])>>16, 36),
		counts:    SomeCounters(),
		live:      !o.Shared,
		head:      start,
		forgotten: start,
	}
}

// A Replay is where newcomers begin to read a topic.
type Replay int

// Where newcomers begin.
const (
	NoReplay    Replay = iota // at the present
	ReplayKept                // with the oldest event that is kept
	ReplayWhole               // with the first event or, if it is no longer kept, at the present
)

// A Topic is one set's part of a log. Open makes it ready.
type Topic struct {
	Replay Replay        // immutable
	Coders coding.Coders // of its events

	log   *Log
	total atomic.Int64 // bytes appended

	// Guarded by log.mu.
	tail        *Entry           // the empty one
	kept        *Entry           // the oldest in the history, or nil
	newest      uint64           // the stamp of the newest event, kept or not
	forgotten   uint64           // the stamp up to which events are no longer kept
	forgottenAt backplane.Cursor // of the event with that stamp, on a shared log
	lost        bool             // an event of it has been forgotten
	readers     int
	idleSince   time.Time // when the last reader left
	idle        bool      // the history holds it for that
}

// Open makes the topic a part of the log.
func (t *Topic) Open(l *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Had it been here before, all of its events would be forgotten by now.
	t.log, t.tail, t.forgotten = l, new(Entry), l.forgotten
}

// Total returns how many bytes have been appended.
func (t *Topic) Total() int64 { return t.total.Load() }

// Readers returns how many readers are placed in the topic.
func (t *Topic) Readers() int {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	return t.readers
}

// Headroom is the room that a log's id line takes at most: "id: ", 48 and 64 bits
// in base 36, a hyphen and a line end.
const Headroom = len("id: ") + 10 + 1 + 13 + 1

// An Event is appended to a log.
type Event struct {
	Encoded []byte // by wire.Event.Encode, with Headroom
	Key     string // for LatestPerKey
	ID      string // the program's own, or empty
	Once    string // the idempotency key, or empty
	Cursor  backplane.Cursor
}

// Append adds an event to the topic and returns how many readers it has. It
// reports false, and does nothing, if the history has an event of the topic with
// the same idempotency key.
func (t *Topic) Append(e Event) (readers int, appended bool) {
	l := t.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Once != "" && l.history.once[onceKey{t, e.Once}] != nil {
		return t.readers, false
	}
	l.head, l.cursor = NextStamp(), e.Cursor
	entry := t.tail
	entry.stamp, entry.chunk, entry.key = l.head, l.frame(e.Encoded, e.ID == ""), e.Key
	entry.topic, entry.id, entry.once, entry.cursor = t, e.ID, e.Once, e.Cursor
	size := int64(len(entry.chunk))
	entry.next = &Entry{offset: entry.offset + size, number: entry.number + 1}
	l.counts.Dispatched.Add(1, size)
	l.counts.Addressed.Add(int64(t.readers), int64(t.readers)*size)
	entry.coded.Init(&t.Coders)
	t.tail, t.newest = entry.next, entry.stamp
	entry.filled.Store(true) // first: the history looks at it
	t.total.Store(entry.next.offset)
	l.remember(entry)
	l.wakeLocked()
	return t.readers, true
}

// Pass counts an entry of a shared log that is no event of a topic of this process.
func (l *Log) Pass(c backplane.Cursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passLocked(c)
}

func (l *Log) passLocked(c backplane.Cursor) {
	l.head, l.cursor = NextStamp(), c
	l.remember(&Entry{stamp: l.head, cursor: c})
	l.wakeLocked()
}

// Cursor returns the cursor of the newest event of a shared log.
func (l *Log) Cursor() backplane.Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor
}

// SetLive says whether a shared log is up to date.
func (l *Log) SetLive(live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != live {
		l.live = live
		l.wakeLocked()
	}
}

// Progress returns whether the log is live, up to where it has got, and a channel
// that is closed at the next change.
func (l *Log) Progress() (live bool, at backplane.Cursor, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.live, l.cursor, l.changed
}

func (l *Log) wakeLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// frame returns the chunk of an encoded event, with the id of the newest event if
// it is to have one.
func (l *Log) frame(encoded []byte, id bool) wire.Chunk {
	start := wire.SizeRoom + Headroom
	if l.Events >= 0 && id {
		var line [Headroom]byte
		b := append(line[:0], "id: "...)
		b = append(l.appendID(b), '\n')
		start -= len(b)
		copy(encoded[start:], b)
	}
	return wire.Frame(encoded, start)
}

// appendID appends the id of the newest event.
func (l *Log) appendID(b []byte) []byte {
	if l.Shared {
		return l.cursor.AppendTo(b)
	}
	b = append(b, l.epoch...)
	b = append(b, '-')
	return strconv.AppendUint(b, l.head, 36)
}
