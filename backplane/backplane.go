package backplane

import (
	"context"
	"errors"
	"time"
)

// MaxData is the maximum length of an entry's data and of a record's value, in bytes.
// The limits of brokers are higher.
const MaxData = 256 << 10

// MaxKey is the maximum length of a record's key, an entry's id and the name of a log or
// store, in bytes.
const MaxKey = 512

var (
	// ErrGap means that a log cannot be followed from a cursor without missing an
	// entry: the cursor's entry is no longer kept, or was never in this log.
	ErrGap = errors.New("backplane: cursor not in history")

	// ErrConflict means that a record does not have the expected revision.
	ErrConflict = errors.New("backplane: record has changed")

	// ErrIndeterminate means that the outcome of a change is unknown: there was no
	// answer before the context ended. The change may have been made, or may still be
	// made. The error also wraps the context's error.
	ErrIndeterminate = errors.New("backplane: outcome unknown")

	// ErrSize means that data, a value, an id or a key is larger than allowed, or that
	// an id or a key is empty. Nothing was changed.
	ErrSize = errors.New("backplane: size not allowed")

	// ErrClosed means that the log or the store has been closed.
	ErrClosed = errors.New("backplane: closed")
)

// An Entry is one entry of a log.
type Entry struct {
	Cursor Cursor
	Data   []byte // read-only, but may be kept
}

// A Log is a sequence of entries that several processes append to and follow.
// Its methods may be called from any goroutine.
type Log interface {
	// Append adds an entry and returns its cursor once the log has accepted it, so that
	// all followers of the log will get it. If a caller waits for each call to return,
	// its entries have the order of its calls.
	//
	// The id is an idempotency key and should be unique. A second call with the same id,
	// from any process and within two minutes at least, adds nothing and returns the
	// cursor of the first: so a call that failed with [ErrIndeterminate] can be repeated.
	// Append itself retries until the context ends.
	//
	// The caller must not modify the data after the call.
	//
	// The error is [ErrSize] if the data is longer than [MaxData] bytes, or the id is
	// empty or longer than [MaxKey] bytes. If an error does not wrap ErrIndeterminate,
	// nothing was appended.
	Append(ctx context.Context, id string, data []byte) (Cursor, error)

	// Follow calls fn with every entry after the cursor, each once and in order, in
	// batches, until the context ends or fn returns an error; it returns that error. If
	// the broker was down, Follow continues by itself.
	//
	// The argument live reports that the batch reaches the end that the log had when it
	// was read. The first live batch comes as soon as the end is reached, and is empty if
	// there is no entry after the cursor; a later batch is never empty. The slice is
	// valid until fn returns.
	//
	// The error is [ErrGap] if it cannot be proven that no entry is missing, at the start
	// or later; the batches before it were complete.
	Follow(ctx context.Context, after Cursor, fn func(batch []Entry, live bool) error) error
}

// A Monitor is implemented by a [Log] whose Follow retries by itself while its broker is
// away, so that a program can find out, as WaitReady of a hub in package sse does.
type Monitor interface {
	// Heard returns when a Follow last heard from the broker, which it does every second
	// or so. It is the zero time before the first.
	Heard() time.Time
}

// A Record is one record of a store.
type Record struct {
	Key   string
	Rev   uint64 // of the last change: greater than any before, of any key
	Value []byte // nil: the record was deleted or has expired
}

// A Store keeps small records. Its methods may be called from any goroutine.
type Store interface {
	// Swap replaces the record's value if its revision is old, and returns the record
	// with its new revision. For a record that does not exist, old is 0, even if the
	// revision of its deletion is known. A nil value deletes the record, an empty one
	// does not; deleting a record that does not exist changes nothing. The caller must
	// not modify the value after the call. With a ttl the store deletes the record after
	// that time, which is rounded up to whole seconds: up to two seconds later, but never
	// earlier. 0: never.
	//
	// The error is [ErrConflict] if the record has another revision; Swap then returns
	// the record as it is, with revision 0 if it does not exist. It is [ErrSize] if the
	// value is longer than [MaxData] bytes, or the key is empty or longer than [MaxKey]
	// bytes, and [ErrIndeterminate] if the context ended before the store answered. After
	// that a repeated call may get a conflict with the record of the first one.
	Swap(ctx context.Context, key string, old uint64, value []byte, ttl time.Duration) (Record, error)

	// Watch calls fn with all records whose key begins with prefix, and then with every
	// change of such a record, in the order of their revisions, until the context ends or
	// fn returns an error; it returns that error. A deleted or expired record has a nil
	// value. Some revisions of a record that changes often may be skipped, but never the
	// newest, except if the record is deleted again before it was passed to fn. If the
	// broker was down, Watch continues by itself. If the broker has lost changes, fn gets
	// the records that are different by that, with revisions lower than earlier ones.
	//
	// The argument live reports that fn has got all records that existed when Watch was
	// called. The first live batch may be empty. The slice is valid until fn returns; a
	// value is read-only, but may be kept.
	Watch(ctx context.Context, prefix string, fn func(batch []Record, live bool) error) error
}

// An Outbox adds entries to a log in a transaction of a database, which has something else to
// change as well. See the documentation of the log for who may call its methods, and until when.
type Outbox interface {
	// Put adds an entry if the transaction commits, and not otherwise. All followers of the
	// log then get it. It returns before that, and so without the entry's cursor. The id
	// and the data are as in [Log].Append. The caller must not modify the data before the
	// transaction has ended.
	//
	// The error is [ErrSize] as in Append, or the database's; the transaction should then
	// be rolled back.
	Put(ctx context.Context, id string, data []byte) error

	// Log returns the log that the entries go to.
	Log() Log
}
