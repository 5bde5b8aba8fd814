package sse

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.org/sse/backplane"
)

const (
	defaultHistory      = 1024
	defaultHistoryBytes = 1 << 20
	defaultHistoryAge   = 5 * time.Minute
)

// stamps numbers everything that is dispatched in this process. A source with
// several inputs (its sets, and what is dispatched to it directly) merges them
// by stamp, so that what one goroutine sends arrives in the order it was sent.
var stamps atomic.Uint64

// An entry is one event of a set, encoded once for all members. The last entry
// of a set is always an empty one, the place of the next event: a member whose
// cursor stands there has everything, and holds no event in memory. Entries
// that are neither kept as history nor waiting for a member are garbage.
type entry struct {
	filled atomic.Bool // the fields below are set, and never change again

	stamp uint64
	chunk chunk
	about about
	next  *entry // of the same set

	bytes int64 // of the events before it in the set; known from the start

	// History, guarded by log.mu.
	set   *Set // nil once it is no longer kept
	place bool // no event, but where members of the set stand
	at    time.Time
	newer *entry // of the log
}

// about is what is known of an event beside its bytes.
type about struct {
	key    string           // for LatestPerKey
	id     string           // the caller's own, if any
	once   string           // see DispatchOnce
	cursor backplane.Cursor // on a shared log
}

// A log gives the events of its sets their order and their ids, and keeps the
// newest of them for clients that come back. A [Set] has a log of its own; the
// sets of a [Hub] share one.
type log struct {
	shared *follower // nil for a log in memory

	epoch string // random: an id of another log or process is recognized by it
	keep  int    // bounds of the history; keep < 0: no history and no ids
	bytes int
	age   time.Duration

	mu         sync.Mutex
	head       uint64           // the stamp of the newest event
	at         backplane.Cursor // its cursor, on a shared log
	floor      uint64           // the stamp up to which entries are no longer kept
	floorAt    backplane.Cursor // the cursor of the event that was forgotten last
	cursors    map[backplane.Cursor]uint64
	oldest     *entry // the history, linked by newer
	newest     *entry
	kept       int
	keptBytes  int
	expiry     *time.Timer // runs while there is a history with an age
	expiryRuns bool
}

// newLog returns a log with a history of the given bounds, each 0 for the
// default. A negative number of events is no history at all; any other bound
// is lifted by a negative value.
func newLog(events, bytes int, age time.Duration) *log {
	var random [8]byte
	rand.Read(random[:]) // never fails, since Go 1.24
	start := stamps.Load()
	return &log{
		epoch: strconv.FormatUint(binary.LittleEndian.Uint64(random[:])>>16, 36),
		keep:  orDefault(events, defaultHistory),
		bytes: orDefault(bytes, defaultHistoryBytes),
		age:   orDefault(age, defaultHistoryAge),
		floor: start,
		head:  start,
	}
}

func orDefault[T int | time.Duration](value, def T) T {
	if value == 0 {
		return def
	}
	return value
}

// idRoom is the room that a log's id line takes at most: "id: ", 48 and 64 bits
// in base 36, a hyphen and a line end.
const idRoom = len("id: ") + 10 + 1 + 13 + 1

// append adds an event that was encoded with idRoom bytes of headroom. The caller
// holds log.mu.
func (l *log) append(s *Set, buf []byte, about about) {
	stamp := stamps.Add(1)
	l.head, l.at = stamp, about.cursor
	e := s.fill(stamp, l.frame(buf, about.id == ""))
	e.about = about
	l.remember(s, e)
	s.filled(e)
}

// fill gives the set's empty entry its content, and links a new empty one. The
// caller holds log.mu, and calls filled next.
func (s *Set) fill(stamp uint64, c chunk) *entry {
	e := s.tail
	e.stamp, e.chunk = stamp, c
	e.next = &entry{bytes: e.bytes + int64(len(c))}
	s.tail = e.next
	return e
}

// filled lets members see the entry.
func (s *Set) filled(e *entry) {
	e.filled.Store(true)
	s.total.Store(e.next.bytes)
}

// frame returns the chunk of an event that was encoded with idRoom bytes of
// headroom, with the id of the newest event if it is to have one. The caller
// holds l.mu.
func (l *log) frame(buf []byte, id bool) chunk {
	start := sizeRoom + idRoom
	if l.keep >= 0 && id {
		var line [idRoom]byte
		b := l.appendID(line[:0])
		start -= len(b)
		copy(buf[start:], b)
	}
	return frame(buf, start)
}

// appendID appends the id line of the newest event.
func (l *log) appendID(b []byte) []byte {
	b = append(b, "id: "...)
	if l.shared != nil {
		b = l.at.AppendTo(b)
	} else {
		b = append(b, l.epoch...)
		b = append(b, '-')
		b = strconv.AppendUint(b, l.head, 36)
	}
	return append(b, '\n')
}
