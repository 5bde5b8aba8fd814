package eventlog

import (
	"strconv"
	"strings"
	"time"

	"example.org/sse/backplane"
)

const defaultAge = 5 * time.Minute

// A history is the part of a log that is kept. It is guarded by Log.mu.
type history struct {
	oldest, newest *Entry // linked by newer
	events, bytes  int

	cursors map[backplane.Cursor]*Entry // on a shared log
	ids     map[string]*Entry           // the newest with each id of the program's own
	once    map[onceKey]*Entry

	idle    []*Topic // without readers since a while, the longest first
	expiry  *time.Timer
	running bool // expiry is
}

type onceKey struct {
	topic *Topic
	key   string
}

// remember adds an entry to the history.
func (l *Log) remember(e *Entry) {
	h := &l.history
	if l.Events < 0 {
		l.forgotten = e.stamp
		if e.topic != nil {
			e.topic.forgotten, e.topic.lost = e.stamp, true
		}
		return
	}
	e.at = time.Now()
	if h.oldest == nil {
		h.oldest = e
	} else {
		h.newest.newer = e
	}
	h.newest = e
	h.events++
	h.bytes += len(e.chunk)
	if t := e.topic; t != nil && t.kept == nil {
		t.kept = e
	}
	if l.Shared {
		put(&h.cursors, e.cursor, e)
	}
	if e.id != "" {
		put(&h.ids, e.id, e)
	}
	if e.once != "" {
		put(&h.once, onceKey{e.topic, e.once}, e)
	}
	l.trim(e.at)
	l.expireLater(l.Age)
}

func put[K comparable](m *map[K]*Entry, key K, e *Entry) {
	if *m == nil {
		*m = make(map[K]*Entry)
	}
	(*m)[key] = e
}

func remove[K comparable](m map[K]*Entry, key K, e *Entry) {
	if m[key] == e {
		delete(m, key)
	}
}

// trim forgets what is beyond the history's bounds.
func (l *Log) trim(now time.Time) {
	h := &l.history
	for e := h.oldest; e != nil; e = h.oldest {
		if h.events <= l.Events && (l.Bytes < 0 || h.bytes <= l.Bytes) && (l.Age < 0 || now.Sub(e.at) < l.Age) {
			return
		}
		l.forgetOldest()
	}
}

func (l *Log) forgetOldest() {
	h := &l.history
	e := h.oldest
	if h.oldest = e.newer; h.oldest == nil {
		h.newest = nil
	}
	h.events--
	h.bytes -= len(e.chunk)
	remove(h.cursors, e.cursor, e)
	remove(h.ids, e.id, e)
	remove(h.once, onceKey{e.topic, e.once}, e)
	l.forgotten = e.stamp
	if t := e.topic; t != nil {
		t.forgotten, t.forgottenAt, t.lost = e.stamp, e.cursor, true
		if t.kept = e.next; !t.kept.Filled() {
			t.kept = nil
		}
	}
	e.topic, e.newer = nil, nil
}

// expireLater has expire called after d, unless it will be called anyway.
func (l *Log) expireLater(d time.Duration) {
	h := &l.history
	if d <= 0 || h.running {
		return
	}
	h.running = true
	if h.expiry == nil {
		h.expiry = time.AfterFunc(d, l.expire)
	} else {
		h.expiry.Reset(d)
	}
}

// expire forgets entries and idle topics when their time has come, without
// waiting for the next event, and comes again for what is left.
func (l *Log) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.history
	h.running = false
	now := time.Now()
	l.trim(now)
	next := time.Duration(-1)
	if h.oldest != nil && l.Age > 0 {
		next = max(h.oldest.at.Add(l.Age).Sub(now), time.Millisecond)
	}
	if rest := l.trimIdle(now); rest > 0 && (next < 0 || rest < next) {
		next = rest
	}
	l.expireLater(next)
}

// A hub forgets a set that nobody holds. One that has lost its last reader is held
// for a while, with what it knows of its events: should the client reconnect, it
// has missed nothing in a quiet set, however busy the others are.

// holdIdle holds a topic that has lost its last reader.
func (l *Log) holdIdle(t *Topic) {
	if !l.Many || l.Events < 0 {
		return
	}
	t.idleSince = time.Now()
	if !t.idle {
		t.idle = true
		l.history.idle = append(l.history.idle, t)
		l.expireLater(l.idleAge())
	}
}

func (l *Log) idleAge() time.Duration {
	if l.Age < 0 {
		return defaultAge
	}
	return l.Age
}

// trimIdle lets go of topics that have been idle for long enough, and returns when
// to come again, 0 for never.
func (l *Log) trimIdle(now time.Time) time.Duration {
	h := &l.history
	for len(h.idle) > 0 {
		t := h.idle[0]
		rest := t.idleSince.Add(l.idleAge()).Sub(now)
		if t.readers == 0 && rest > 0 {
			if len(h.idle) == 1 || !h.idle[1].idleSince.Before(t.idleSince) {
				return rest
			}
			h.idle = append(h.idle[1:], t) // it has been used meanwhile
			continue
		}
		t.idle = false
		h.idle[0] = nil
		h.idle = h.idle[1:]
	}
	h.idle = nil
	return 0
}

// Forget drops the whole history, after a gap: no client can resume from before.
func (l *Log) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.history.oldest != nil {
		l.forgetOldest()
	}
	l.gaps++
	l.forgotten, l.cursor = NextStamp(), backplane.Cursor{}
	l.head, l.gapAt = l.forgotten, l.forgotten
}

// Gaps returns how many gaps there have been.
func (l *Log) Gaps() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gaps
}

// find returns the stamp of the event that a client names as its last one. The
// event need not be kept: each topic knows up to where it has forgotten.
func (l *Log) find(id string, topics []*Topic) (stamp uint64, ok bool) {
	if id == "" || l.Events < 0 {
		return 0, false
	}
	l.trim(time.Now())
	if c, isCursor := backplane.ParseCursor(id); isCursor && l.Shared {
		if e := l.history.cursors[c]; e != nil {
			return e.stamp, true
		}
		for _, t := range topics {
			if t.forgottenAt == c && t.forgotten > l.gapAt {
				return t.forgotten, true
			}
		}
	}
	if epoch, offset, _ := strings.Cut(id, "-"); epoch == l.epoch && !l.Shared {
		stamp, err := strconv.ParseUint(offset, 36, 64)
		return stamp, err == nil && stamp <= l.head
	}
	if e := l.history.ids[id]; e != nil {
		return e.stamp, true
	}
	return 0, false
}
