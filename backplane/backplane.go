package backplane

import (
	"context"
	"errors"
	"time"
)

// MaxData is how many bytes an entry's data or a record's value may have.
// Brokers have limits of their own, and take more than this.
const MaxData = 256 << 10

// MaxKey is how many bytes a record's key, an entry's id and the name of a log
// may have.
const MaxKey = 512

var (
	// ErrGap says that a log cannot be followed from a cursor without missing
	// something: the entry is no longer kept, or was never in this log.
	ErrGap = errors.New("backplane: the history does not reach back to the cursor")

	// ErrConflict says that a record has another revision than was expected.
	ErrConflict = errors.New("backplane: the record has changed")

	// ErrIndeterminate says that an outcome is not known: no answer came before the
	// context was done. The change may have been made, or may still be. It
	// comes with the context's error.
	ErrIndeterminate = errors.New("backplane: outcome unknown")

	// ErrSize says that data, a value, an id or a key is larger than
	// allowed, or that an id or a key is empty. Nothing was changed.
	ErrSize = errors.New("backplane: too large")

	// ErrClosed says that the log or the store has been closed.
	ErrClosed = errors.New("backplane: closed")
)

// An Entry is one entry of a log.
type Entry struct {
	Cursor Cursor
	Data   []byte // not to be changed, but may be kept
}

// A Log is a sequence of entries that several processes append to and follow.
// Its methods may be called from any goroutine.
type Log interface {
	// Append adds an entry, and returns its cursor once the log is answerable
	// for it: whoever follows the log will get the entry. A caller that waits
	// for each call finds its entries in the order of its calls.
	//
	// The id names what is appended, and should be unique. A second call with
	// the same id, from any process and within two minutes at least, adds
	// nothing and returns the cursor of the first: a call whose outcome was
	// [ErrIndeterminate] can be repeated. Append itself tries again until the context
	// is done.
	//
	// The data is the log's from then on, and not to be changed.
	//
	// [ErrSize] if the data has more than [MaxData] bytes, or the id more
	// than [MaxKey] or none. Any error that does not wrap ErrIndeterminate says that
	// nothing was appended.
	Append(ctx context.Context, id string, data []byte) (Cursor, error)

	// Follow calls fn with every entry after the cursor, each once and in
	// order, in batches, until the context is done, whose error it then returns,
	// or fn returns an error, which it returns as well. It goes on by itself
	// after the broker was away.
	//
	// With live, a batch reaches the end that the log had when it was read. The
	// first live batch comes as soon as that is so, and is empty if there is
	// nothing after the cursor; a later one is never empty. The slice is fn's
	// until it returns.
	//
	// [ErrGap] if it cannot be proven that nothing is missing, at the beginning
	// or later on; every batch before it was whole.
	Follow(ctx context.Context, after Cursor, fn func(batch []Entry, live bool) error) error
}

// A Record is one record of a store.
type Record struct {
	Key   string
	Rev   uint64 // of the last change: greater than any before, of any key
	Value []byte // nil: there is none, because it was deleted or has expired
}

// A Store keeps small records. Its methods may be called from any goroutine.
type Store interface {
	// Swap replaces the record's value, if its revision is old; old is 0 for a
	// record that is not there, even if the revision of its end is known. It
	// returns the record as it is now, with its new revision. A nil value
	// deletes the record, an empty one does not; to delete what is not there
	// changes nothing. The value is the store's from then on, and not to be
	// changed. With a ttl the store deletes the record by itself so long after
	// this call, in whole seconds, rounded up, and perhaps up to two seconds
	// later, but never before; 0: never.
	//
	// [ErrConflict] if the record has another revision; it comes with the record
	// as it is, whose revision is 0 if there is none. [ErrSize] if the value
	// has more than [MaxData] bytes, or the key more than [MaxKey] or none.
	// [ErrIndeterminate] if the context was done before the store answered. After that
	// a repeated call can meet the first one's record as a conflict.
	Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (Record, error)

	// Watch calls fn with all records whose key begins with prefix, and then
	// with every change of one, in the order of their revisions, until the
	// context is done or fn returns an error; it returns that error. A deleted
	// or expired record comes with a nil value. Of a record that changes often
	// some revisions may be left out, but never the newest, unless the record is
	// gone again before fn was told of it. It goes on by itself after the broker
	// was away, and may then repeat what it has told before.
	//
	// With live, fn has been told of all records that there were when Watch was
	// called. The first live batch may be empty. The slice is fn's until it
	// returns; a value is not to be changed, but may be kept.
	Watch(ctx context.Context, prefix string, fn func(batch []Record, live bool) error) error
}
