package locks

import (
	"errors"
	"time"

	"example.org/sse/presence"
)

// A Lock is the lock of one thing, as it was at some moment.
type Lock[K comparable] struct {
	Key    K
	Holder presence.Session // the zero value if the lock is free

	// Fence is the fence: greater for each new holder than for any
	// before, of any key of the table. It stays below 2^53, so that JavaScript
	// can keep it in a number.
	Fence uint64

	Since time.Time          // when the holder got it
	Until time.Time          // when it expires, by this process's clock; zero: it does not
	Queue []presence.Session // those who wait for it, the next one first; not to be changed
}

// Held reports whether somebody holds the lock.
func (l Lock[K]) Held() bool { return l.Holder != presence.Session{} }

// A Cause is why a lock has changed.
type Cause string

// The causes of changes. When a holder loses the lock, for whatever cause, and
// others wait, the first of them is the new holder in the same change.
const (
	Taken    Cause = "taken"    // a free lock has a holder
	Queued   Cause = "queued"   // others wait for it than before, the holder is the same
	Released Cause = "released" // by its holder
	Stolen   Cause = "stolen"   // by the new holder, who has given a reason
	Expired  Cause = "expired"  // the holder had it for too long, see [Table.MaxHold]
	Left     Cause = "left"     // the holder is gone
)

// A Change is what has happened to a lock.
type Change[K comparable] struct {
	Lock[K]                  // as it is now
	Cause   Cause            // why
	From    presence.Session // who held it before, if the holder has changed
	Reason  string           // that was given to [Table.Steal]
}

var (
	// ErrHeld says that another session holds the lock.
	ErrHeld = errors.New("locks: held by another session")

	// ErrNotHeld says that a session does not hold the lock, or no longer: it was
	// stolen, has expired, or the session was away for too long. Nothing that
	// was made under the lock should be saved any more.
	ErrNotHeld = errors.New("locks: not held by this session")

	// ErrAbsent says that a session that wants a lock is not present, as the
	// tracker sees it: its page has no stream. Nothing would free the lock.
	ErrAbsent = errors.New("locks: the session is not present: its page has no stream")

	// ErrQueueFull says that too many wait already, see [Table.MaxQueue].
	ErrQueueFull = errors.New("locks: too many wait for the lock")

	// ErrInvalidKey says that a key cannot be used: it is no JSON, or longer than 384
	// bytes as JSON.
	ErrInvalidKey = errors.New("locks: unusable key")

	// ErrCutOff says that this process has not heard from the store for so long
	// that others may take its sessions for gone, and their locks for free.
	ErrCutOff = errors.New("locks: cut off from the store: the lock may have been lost")

	// ErrClosed says that the table has been closed.
	ErrClosed = errors.New("locks: closed")
)
