package locks

import (
	"errors"
	"fmt"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
)

// A Lock is the state of one lock at some moment. As JSON it has its key as that
// encodes itself, and no member for what is zero:
//
//	{"key":7,"holder":{"user":"Ann","page":"…"},"fence":123,"since":"2026-01-02T15:04:05Z","queue":[…]}
type Lock[K comparable] struct {
	Key    K                `json:"key"`
	Holder presence.Session `json:"holder,omitzero"` // the zero value if the lock is free

	// Fence identifies this holding of the lock. It is greater for each new holder
	// than for any holder before, of any key of the table. It stays below 2^53, so
	// that a JavaScript number can hold it.
	Fence uint64 `json:"fence,omitempty"`

	Since time.Time          `json:"since,omitzero"`  // when the holder got it
	Until time.Time          `json:"until,omitzero"`  // when it expires, by this process's clock; zero: never
	Queue []presence.Session `json:"queue,omitempty"` // the sessions that wait, the next one first; read-only
}

// Held reports whether a session holds the lock.
func (l Lock[K]) Held() bool { return l.Holder != presence.Session{} }

// A Cause is why a lock has changed.
type Cause string

// The causes of changes. When a holder loses the lock, for any cause, and sessions
// wait, the first of them becomes the holder in the same change.
const (
	Taken    Cause = "taken"    // a free lock was taken
	Queued   Cause = "queued"   // the queue changed, the holder did not
	Released Cause = "released" // by its holder
	Stolen   Cause = "stolen"   // by the new holder, who gave a reason
	Expired  Cause = "expired"  // held for longer than [Table.MaxHold]
	Left     Cause = "left"     // the holder's session ended
)

// A Change reports what happened to a lock. As JSON it is the lock with the members
// cause, from and reason.
type Change[K comparable] struct {
	Lock[K]                  // as it is now
	Cause   Cause            `json:"cause"`            // why
	From    presence.Session `json:"from,omitzero"`    // the holder before, if the holder changed
	Reason  string           `json:"reason,omitempty"` // as given to [Table.Steal]
}

var (
	// ErrHeld means that another session holds the lock.
	ErrHeld = errors.New("locks: held by another session")

	// ErrNotHeld means that the session does not hold the lock, or no longer: the
	// lock was stolen, it expired, or the session was away for too long. Edits made
	// under the lock should not be saved.
	ErrNotHeld = errors.New("locks: not held by this session")

	// ErrAbsent means that the session is not present, as the tracker sees it: its
	// page has no stream. It cannot take a lock, because nothing would release it.
	ErrAbsent = errors.New("locks: session not present: its page has no stream")

	// ErrQueueFull means that [Table.MaxQueue] sessions are already waiting, or as many
	// as a record in the Store can hold.
	ErrQueueFull = errors.New("locks: queue full")

	// ErrInvalidKey means that a key cannot be encoded as JSON, does not survive the
	// round trip, contains a floating-point number, or is longer than 384 bytes as JSON.
	ErrInvalidKey = errors.New("locks: invalid key")

	// ErrCutOff means that the store does not answer, or that this process has not
	// reached it for so long that other processes may regard its sessions as ended and
	// their locks as free.
	ErrCutOff = errors.New("locks: cut off from the store: the lock may be lost")
)

var errClosed = fmt.Errorf("locks: table: %w", sse.ErrClosed)
