package eventlog

import (
	"cmp"
	"sync/atomic"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/coding"
	"example.org/sse/internal/wire"
)

// stamps numbers everything that is dispatched in this process. A stream with
// several inputs (topics, and what is dispatched to it directly) merges them by
// stamp, so that what one goroutine sends arrives in the order it was sent.
var stamps atomic.Uint64

// NextStamp returns a stamp that is greater than all before it.
func NextStamp() uint64 { return stamps.Add(1) }

// LastStamp returns the greatest stamp so far.
func LastStamp() uint64 { return stamps.Load() }

// An Item is a piece of a stream that waits to be written.
type Item struct {
	Stamp uint64 // 0 for a comment or the end of a body
	Chunk wire.Chunk
	Coded *coding.Event // its pieces, if it is a topic's event
	Free  bool          // does not count against the client's backlog
}

// ByStamp compares items for sorting.
func ByStamp(a, b Item) int { return cmp.Compare(a.Stamp, b.Stamp) }

// An Entry is one event of a topic, encoded once for all readers. The last entry
// of a topic is always empty, the place of the next event: a reader that is up to
// date stands there and holds no event in memory. Entries that are neither kept
// as history nor waiting for a reader are garbage.
type Entry struct {
	filled atomic.Bool // the fields below are set, and never change again

	stamp uint64
	chunk wire.Chunk
	key   string // for LatestPerKey
	next  *Entry // of the topic
	coded coding.Event

	offset int64 // bytes of the events before it in the topic; known from the start
	number int64 // of these events

	// History, guarded by Log.mu.
	topic  *Topic // nil for an entry of a shared log that no topic has
	id     string // the program's own, if any
	once   string // the idempotency key, if any
	cursor backplane.Cursor
	at     time.Time
	newer  *Entry // of the log
}

// Filled reports whether the entry has an event. If so, the entry never changes
// again.
func (e *Entry) Filled() bool { return e.filled.Load() }

// Stamp returns the stamp of a filled entry.
func (e *Entry) Stamp() uint64 { return e.stamp }

// Chunk returns the event of a filled entry.
func (e *Entry) Chunk() wire.Chunk { return e.chunk }

// Coded returns the pieces of a filled entry.
func (e *Entry) Coded() *coding.Event { return &e.coded }

// Item returns the event of a filled entry as an item.
func (e *Entry) Item() Item { return Item{Stamp: e.stamp, Chunk: e.chunk, Coded: &e.coded} }

// Next returns the entry after a filled entry.
func (e *Entry) Next() *Entry { return e.next }
