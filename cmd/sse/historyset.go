package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"example.org/sse"
)

// A historySet is a set whose new members first receive its latest events. A new
// client is treated like one that resumes, some events back, so that it receives
// each event once and misses none.
type historySet struct {
	set    sse.Set
	run    string // distinguishes the ids of this run of the program
	back   int    // the number of events that a new member receives
	joined chan struct{}

	mu    sync.Mutex
	count int64
	ids   []string // of the newest events, oldest first; at least those that the set keeps
}

func newHistorySet(history int, o *sse.AcceptOptions) *historySet {
	return &historySet{
		// More than history, since events may be dispatched while a client joins.
		set:    sse.Set{History: 2*history + 64, HistoryBytes: -1, HistoryAge: -1, AcceptOptions: o},
		run:    strconv.FormatInt(time.Now().UnixMilli(), 36),
		back:   history,
		joined: make(chan struct{}, 1),
	}
}

// begin dispatches an event that no client receives, so that the first clients
// have an id to resume from. It fails if typ is not a valid event type.
func (h *historySet) begin(typ string) error {
	_, err := h.dispatch(sse.Event{Type: typ})
	return err
}

// dispatch dispatches e and returns it with its id. It must not be called
// concurrently.
func (h *historySet) dispatch(e sse.Event) (sse.Event, error) {
	if e.ID == "" {
		e.ID = h.run + "-" + strconv.FormatInt(h.count, 36)
	}
	if _, err := h.set.DispatchEvent(e); err != nil {
		return e, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	if h.ids = append(h.ids, e.ID); len(h.ids) > 2*h.set.History { // not at every event
		h.ids = slices.Delete(h.ids, 0, len(h.ids)-h.set.History)
	}
	return e, nil
}

// resumeID returns the id after which a client's stream begins: id if it is
// known, otherwise the id of an older event.
func (h *historySet) resumeID(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id != "" && slices.Contains(h.ids[max(0, len(h.ids)-h.set.History):], id) {
		return id
	}
	return h.ids[max(0, len(h.ids)-1-h.back)]
}

// ServeHTTP answers with a stream.
func (h *historySet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("lastEventId"))
	r.Header.Set("Last-Event-ID", h.resumeID(id))
	sse.Serve(w, r, h.set.AcceptOptions, func(source *sse.EventSource) {
		h.set.Add(source)
		select {
		case h.joined <- struct{}{}:
		default:
		}
	})
}

// await waits until the set has the given number of clients.
func (h *historySet) await(ctx context.Context, clients int) error {
	for h.set.Len() < clients {
		select {
		case <-h.joined:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
