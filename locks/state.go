package locks

import (
	"slices"
	"time"

	"example.org/sse/presence"
)

// A state is a lock as the store keeps it: one record in JSON. Every operation on a
// lock is a function from one state to the next.
type state struct {
	Holder presence.Session `json:"h,omitzero"`
	Fence  uint64           `json:"t,omitempty"` // 0: the record's own revision
	Since  int64            `json:"s,omitempty"` // Unix milliseconds
	// Renewed counts how often the holder has renewed the lock.
	Renewed int                `json:"n,omitempty"`
	Queue   []presence.Session `json:"q,omitempty"`

	// The last change.
	Cause  Cause            `json:"c"`
	From   presence.Session `json:"f,omitzero"`
	Reason string           `json:"r,omitempty"`
	After  string           `json:"a,omitempty"` // the hub's cursor to reach before the change is reported
}

var nobody presence.Session

// withFence returns the state with its fence. A record from which it is missing has a new
// holder.
func (s state) withFence(rev uint64) state {
	if s.Holder != nobody && s.Fence == 0 {
		s.Fence = rev
	}
	return s
}

// escape returns the state with all names changed by f. They may contain bytes that JSON
// cannot represent.
func (s state) escape(f func(string) string) state {
	one := func(s presence.Session) presence.Session { return presence.Session{User: f(s.User), Page: f(s.Page)} }
	s.Holder, s.From, s.Reason = one(s.Holder), one(s.From), f(s.Reason)
	s.Queue = slices.Clone(s.Queue)
	for i := range s.Queue {
		s.Queue[i] = one(s.Queue[i])
	}
	return s
}

// grant makes the session the holder.
func (s state) grant(to presence.Session, cause Cause) state {
	s.From, s.Holder = s.Holder, to
	s.Cause, s.Reason = cause, ""
	s.Fence = 0
	s.Since, s.Renewed = time.Now().UnixMilli(), 0
	s.Queue = without(s.Queue, to)
	return s
}

// pass takes the lock from its holder and gives it to the next session in the queue,
// if there is one. A session that has ended leaves the queue, or releases the lock, by
// a change of its own.
func (s state) pass(cause Cause) state {
	if len(s.Queue) > 0 {
		return s.grant(s.Queue[0], cause)
	}
	return state{From: s.Holder, Cause: cause}
}

// requeue replaces the queue.
func (s state) requeue(queue []presence.Session) state {
	s.Queue, s.Cause, s.From, s.Reason = queue, Queued, nobody, ""
	return s
}

// without returns a copy of the list without one of its elements.
func without[E comparable](list []E, e E) []E {
	i := slices.Index(list, e)
	if i < 0 {
		return list
	}
	return slices.Delete(slices.Clone(list), i, i+1)
}

// A step is an operation on a lock. It returns the next state; changed is false if
// that is the same.
type step func(s state) (next state, changed bool, err error)

func take(by presence.Session) step {
	return func(s state) (state, bool, error) {
		switch s.Holder {
		case by:
			return s, false, nil
		case nobody:
			return s.grant(by, Taken), true, nil
		}
		return s, false, ErrHeld
	}
}

func queue(by presence.Session, most int) step {
	return func(s state) (state, bool, error) {
		switch {
		case s.Holder == nobody:
			return s.grant(by, Taken), true, nil
		case s.Holder == by || slices.Contains(s.Queue, by):
			return s, false, nil
		case len(s.Queue) >= most:
			return s, false, ErrQueueFull
		}
		return s.requeue(append(slices.Clip(s.Queue), by)), true, nil
	}
}

func steal(by presence.Session, reason string) step {
	return func(s state) (state, bool, error) {
		switch s.Holder {
		case by:
			return s, false, nil
		case nobody:
			return s.grant(by, Taken), true, nil
		}
		s = s.grant(by, Stolen)
		s.Reason = reason
		return s, true, nil
	}
}

// release takes the lock from a session, or takes the session out of the queue.
func release(by presence.Session, cause Cause) step {
	return func(s state) (state, bool, error) {
		switch {
		case by == nobody:
		case s.Holder == by:
			return s.pass(cause), true, nil
		case slices.Contains(s.Queue, by):
			return s.requeue(without(s.Queue, by)), true, nil
		}
		return s, false, ErrNotHeld
	}
}

func renew(by presence.Session) step {
	return func(s state) (state, bool, error) {
		if s.Holder != by || by == nobody {
			return s, false, ErrNotHeld
		}
		s.Renewed++
		return s, true, nil
	}
}

// expire is for a timer. It changes nothing if the lock has another holder by then, or
// has been renewed.
func expire(by presence.Session, fence uint64, renewed int) step {
	return func(s state) (state, bool, error) {
		if s.Holder != by || s.Fence != fence || s.Renewed != renewed {
			return s, false, nil
		}
		return s.pass(Expired), true, nil
	}
}
