package locks

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"example.org/sse"
)

// readyTimeout is how long a newcomer waits for the table to have read the store.
const readyTimeout = 5 * time.Second

var errNotReady = errors.New("locks: the store has not been read yet")

// ServeHTTP answers a request with a stream of the page's session: it connects the
// session, and sends the locks as [Table.Add] does. The response is 403 if the session's
// token is missing, forged or another user's.
//
//	http.Handle("GET /locks", &cards)
func (t *Table[K]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.init()
	s, err := t.Presence.Session(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	sse.Serve(w, r, nil, func(source *sse.EventSource) {
		err := t.Presence.Connect(source, s)
		if err == nil {
			err = t.Add(source)
		}
		if err != nil {
			source.Close() // the client tries again
		}
	})
}

// Add sends a stream all locks that are held, and from then on each change. It is for
// programs that send more than the locks over a stream, and open it themselves; call
// [presence.Tracker.Connect] before.
//
// Without ChangeEvent and SnapshotEvent the events are JSON. The first is of type "locks",
// with an array of locks, possibly empty: a page replaces what it has shown. The others are
// of type "lock", with one lock each and the cause of its change:
//
//	{"key":7,"holder":{"user":"Ann","page":"…"},"fence":123,"since":"…","cause":"taken"}
//
// If the locks are in a Store that has not been read yet, Add waits for that, for 5 s at
// most; then it ends the stream, and its client tries again. The error says why the stream
// has ended; it is [sse.ErrClosed] if the table has been closed.
func (t *Table[K]) Add(source *sse.EventSource) error {
	t.init()
	if t.ctx.Err() != nil {
		return errClosed
	}
	t.group.Add(source)
	if source.ReadyState() == sse.Open {
		return nil
	}
	return fmt.Errorf("locks: add: %w", cmp.Or(source.Err(), sse.ErrClosed))
}

// snapshot returns what a newcomer is sent.
func (t *Table[K]) snapshot(source *sse.EventSource) ([]sse.Event, error) {
	if !t.isLive() {
		timer := time.NewTimer(readyTimeout)
		defer timer.Stop()
		select {
		case <-t.live:
		case <-timer.C:
			return nil, errNotReady
		case <-source.Done():
			return nil, source.Err()
		case <-t.ctx.Done():
			return nil, errClosed
		}
	}
	all := t.list()
	slices.SortFunc(all, func(a, b Lock[K]) int { return cmp.Compare(a.Fence, b.Fence) })
	if t.SnapshotEvent != nil {
		return []sse.Event{t.SnapshotEvent(all)}, nil
	}
	return []sse.Event{jsonEvent("locks", all)}, nil
}

// changeEvent returns what all others are sent.
func (t *Table[K]) changeEvent(c Change[K]) sse.Event {
	if t.ChangeEvent != nil {
		return t.ChangeEvent(c)
	}
	return jsonEvent("lock", c)
}

func jsonEvent(typ string, v any) sse.Event {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // keys are checked, and the rest is plain data
	}
	return sse.Event{Type: typ, Data: string(b)}
}
