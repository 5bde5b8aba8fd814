package sse

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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
	key   string // for LatestPerKey
	next  *entry // of the same set

	bytes int64 // of the events before it in the set; known from the start

	// History, guarded by log.mu.
	set   *Set
	id    string // the caller's own, if any
	at    time.Time
	newer *entry // of the log
}

// A log gives the events of its sets their order and their ids, and keeps the
// newest of them for clients that come back. A [Set] has a log of its own; the
// sets of a [Hub] share one.
type log struct {
	epoch string // random: an id of another log or process is recognized by it
	keep  int    // bounds of the history; keep < 0: no history and no ids
	bytes int
	age   time.Duration

	mu         sync.Mutex
	floor      uint64 // the stamp up to which entries are no longer kept
	head       uint64 // the stamp of the newest entry
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

// append fills the set's empty entry with an event that was encoded with idRoom
// bytes of headroom, and links a new empty one. The caller holds log.mu.
func (l *log) append(s *Set, buf []byte, id, key string) {
	e := s.tail
	e.stamp = stamps.Add(1)
	l.head = e.stamp
	start := sizeRoom + idRoom
	if l.keep >= 0 && id == "" {
		var line [idRoom]byte
		b := append(line[:0], "id: "...)
		b = l.appendID(b, e.stamp)
		b = append(b, '\n')
		start -= len(b)
		copy(buf[start:], b)
	}
	e.chunk = frame(buf, start)
	e.key = key
	e.next = &entry{bytes: e.bytes + int64(len(e.chunk))}
	s.tail = e.next
	l.remember(s, e, id)
	e.filled.Store(true)
	s.total.Store(e.next.bytes)
}

func (l *log) appendID(b []byte, stamp uint64) []byte {
	b = append(b, l.epoch...)
	b = append(b, '-')
	return strconv.AppendUint(b, stamp, 36)
}

// remember adds the entry to the history. The caller holds l.mu.
func (l *log) remember(s *Set, e *entry, id string) {
	if l.keep < 0 {
		l.floor = e.stamp
		return
	}
	e.set, e.id, e.at = s, id, time.Now()
	if l.oldest == nil {
		l.oldest = e
	} else {
		l.newest.newer = e
	}
	l.newest = e
	l.kept++
	l.keptBytes += len(e.chunk)
	l.trim(e.at)
	if l.age > 0 && !l.expiryRuns && l.kept > 0 {
		l.expiryRuns = true
		if l.expiry == nil {
			l.expiry = time.AfterFunc(l.age, l.expire)
		} else {
			l.expiry.Reset(l.age)
		}
	}
}

// trim forgets what is beyond the history's bounds. The caller holds l.mu.
func (l *log) trim(now time.Time) {
	for e := l.oldest; e != nil; e = l.oldest {
		if l.kept <= l.keep &&
			(l.bytes < 0 || l.keptBytes <= l.bytes) &&
			(l.age < 0 || now.Sub(e.at) < l.age) {
			return
		}
		l.oldest = e.newer
		l.kept--
		l.keptBytes -= len(e.chunk)
		l.floor = e.stamp
		e.set, e.newer = nil, nil
	}
	l.newest = nil
}

// expire forgets the entries whose time has come, without waiting for the next
// dispatch, and comes again for the oldest that is left.
func (l *log) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.trim(now)
	if l.expiryRuns = l.oldest != nil; l.expiryRuns {
		l.expiry.Reset(max(l.oldest.at.Add(l.age).Sub(now), time.Millisecond))
	}
}

// find returns the stamp of the event that a client names as its last one, if
// everything after it is still kept. The caller holds l.mu.
func (l *log) find(id string) (stamp uint64, ok bool) {
	l.trim(time.Now())
	if epoch, offset, _ := strings.Cut(id, "-"); epoch == l.epoch {
		stamp, err := strconv.ParseUint(offset, 36, 64)
		return stamp, err == nil && stamp >= l.floor && stamp <= l.head
	}
	for e := l.oldest; e != nil; e = e.newer {
		if e.id == id { // the newest with that id, should there be several
			stamp, ok = e.stamp, true
		}
	}
	return stamp, ok
}

// after returns the oldest kept entry that is newer than stamp, of each set
// that has one. The caller holds l.mu.
func (l *log) after(stamp uint64) map[*Set]*entry {
	first := make(map[*Set]*entry)
	for e := l.oldest; e != nil; e = e.newer {
		if e.stamp > stamp && first[e.set] == nil {
			first[e.set] = e
		}
	}
	return first
}
