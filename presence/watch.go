package presence

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"example.org/sse"
)

// showDelay is how long changes of a place's members are collected before they are sent.
const showDelay = 50 * time.Millisecond

// A watch has the streams that are sent the list of a place's members.
type watch struct {
	group   sse.Set
	showing sync.Mutex // makes the list that is sent last the newest one

	// Guarded by the tracker's mutex.
	sources int
	timer   *time.Timer // sends the list; nil if it has not changed
}

// Watch sends a stream the members of a place, now and whenever they have changed: a
// session has joined or left, or has other data. The event is the one that MembersEvent
// makes or, without that, an event of type "presence" with the data
//
//	{"place":"lobby","members":[{"user":"Ann","page":"…","data":…},…]}
//
// Changes within 50 ms are one event, and a slow client gets only the newest list. The
// list has every session in the place: with thousands of them, send [Tracker.Users]
// instead, or a number.
//
// The source does not need to be connected. The error is [ErrInvalidPlace],
// [sse.ErrClosed], or the reason why the source has ended.
func (t *Tracker) Watch(source *sse.EventSource, place string) error {
	if len(place) > maxName {
		return fmt.Errorf("%w: a name is %d bytes long, limit %d", ErrInvalidPlace, len(place), maxName)
	}
	if err := ended(source); err != nil {
		return fmt.Errorf("presence: watch: %w", err)
	}
	t.start()
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return fmt.Errorf("presence: watch: %w", sse.ErrClosed)
	}
	w := t.watched[place]
	if w == nil {
		w = &watch{group: sse.Set{History: -1, Slow: sse.LatestPerKey, Key: func(sse.Event) string { return "" }}}
		w.group.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
			return []sse.Event{t.membersEvent(place)}, nil
		}
		if t.watched == nil {
			t.watched = make(map[string]*watch)
		}
		t.watched[place] = w
	}
	w.sources++
	t.mu.Unlock()
	if !w.group.Add(source) {
		t.unwatch(place, w)
		return source.Err() // nil if it watches already
	}
	source.AfterFunc(func() { t.unwatch(place, w) })
	return nil
}

// unwatch removes a stream that has ended.
func (t *Tracker) unwatch(place string, w *watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.sources--; w.sources > 0 {
		return
	}
	delete(t.watched, place)
	w.stop()
}

func (w *watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// showLocked has the members of a place sent, after a change.
func (t *Tracker) showLocked(place string) {
	w := t.watched[place]
	if w == nil || w.timer != nil || t.closed {
		return
	}
	w.timer = time.AfterFunc(showDelay, func() {
		w.showing.Lock()
		defer w.showing.Unlock()
		t.mu.Lock()
		w.timer = nil
		closed := t.closed
		t.mu.Unlock()
		if closed {
			return
		}
		if _, err := w.group.DispatchEvent(t.membersEvent(place)); err != nil {
			slog.Error("presence: sending a place's members failed", "place", place, "error", err)
		}
	})
}

// membersEvent returns the event for a place's members as they are now.
func (t *Tracker) membersEvent(place string) sse.Event {
	members := t.Members(place)
	if t.MembersEvent != nil {
		return t.MembersEvent(place, members)
	}
	b, err := json.Marshal(struct {
		Place   string   `json:"place"`
		Members []Member `json:"members"`
	}{place, append([]Member{}, members...)}) // [] and not null
	if err != nil {
		panic(err) // plain data
	}
	return sse.Event{Type: "presence", Data: string(b)}
}
