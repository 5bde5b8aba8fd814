// Package sessions is what package locks needs of a presence.Tracker, and programs do not.
package sessions

import (
	"context"

	"example.org/sse/backplane"
)

// An Access is filled in by a tracker whose sessions are of type S. Its functions may be
// called from any goroutine.
type Access[S any] struct {
	// Leased reports whether other processes still regard this process's sessions as
	// present. If it is false, do not rely on what depends on a session, such as a lock:
	// other processes may have given it away. The process measures its lease by its own
	// clock, from before the last successful request to the store, and regards it as over
	// more than a tenth of the lease before the store does: so Leased is false before any
	// other process acts. It is false until the store has answered for the first time, and
	// after the tracker's Close. It is also false after an interruption until the watch of
	// the store has passed on what the others did meanwhile, and if the watch has passed
	// nothing on for six leases. Without a store it is always true.
	//
	// It does not cover a clock that stands still while the machine is suspended: what must
	// not happen twice needs a fence.
	Leased func() bool

	// Confirm reports whether a session is present at any process. The tracker's Present
	// reports what this process has heard; Confirm makes sure. If it returns true, the
	// session's record is in the store, so that every process hears of the session before it
	// hears of what is stored afterwards. If it returns false, no process with a lease had
	// the session when Confirm was called. It takes a few requests to the store, unless the
	// session's record is known, and needs the answers of all processes: one that does not
	// answer delays it until its lease is over. Without a store it is Present.
	//
	// The error is the context's, the store's, or sse.ErrClosed.
	Confirm func(ctx context.Context, s S) (present bool, err error)

	// Attach makes the tracker call f, until detach is called. It returns the prefix of the
	// keys of f's records. What f is passed and what the tracker has heard of sessions have
	// one order, the order of the store. Attach reports false if there is a Follower of that
	// name already.
	Attach func(name string, f Follower[S]) (prefix string, detach func(), ok bool)
}

// A Follower keeps records of its own in the tracker's store, and hears of sessions that
// end. The tracker calls it from its own goroutines, with none of its mutexes held. It must
// not block.
type Follower[S any] interface {
	// Apply is called with the Follower's records in the order of their revisions: at the
	// beginning of a watch with none, then with all that there are, then with each change.
	// A watch that was interrupted begins again, with the next number. When listed is set,
	// all records that there were at the beginning have been passed on. It is not called
	// without a store.
	Apply(records []backplane.Record, watch int, listed bool)

	// Left is called with each session that has ended as far as this process has heard,
	// see [Access.Confirm]. If goodbye is set, the page itself has said so.
	Left(s S, goodbye bool)
}
