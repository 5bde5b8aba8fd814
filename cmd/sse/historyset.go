package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	report func(format string, args ...any) // for the user

	mu    sync.Mutex // held while a member joins: the set keeps what it resumes after
	count int64      // of all events
	ids   []string   // of the newest events, oldest first; at least those that the set keeps
}

func newHistorySet(history int, o *sse.AcceptOptions, report func(format string, args ...any)) *historySet {
	return &historySet{
		// More than history, since events may be dispatched while a client joins.
		set:    sse.Set{History: 2*history + 64, HistoryBytes: -1, HistoryAge: -1, AcceptOptions: o},
		run:    strconv.FormatInt(time.Now().UnixMilli(), 36),
		back:   history,
		joined: make(chan struct{}, 1),
		report: report,
	}
}

// begin dispatches an event that no client receives, so that the first clients
// have an id to resume from. It fails if typ is not a valid event type.
func (h *historySet) begin(typ string) error {
	_, err := h.dispatch(sse.Event{Type: typ})
	return err
}

// dispatch dispatches e and returns it with its id.
func (h *historySet) dispatch(e sse.Event) (sse.Event, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.ID == "" {
		e.ID = h.run + "-" + strconv.FormatInt(h.count, 36)
	}
	if _, err := h.set.DispatchEvent(e); err != nil {
		return e, err
	}
	h.count++
	if h.ids = append(h.ids, e.ID); len(h.ids) > 2*h.set.History { // not at every event
		h.ids = slices.Delete(h.ids, 0, len(h.ids)-h.set.History)
	}
	return e, nil
}

// A place is where a client's stream begins.
type place struct {
	id     string
	number int64 // of the event with that id
	missed int64 // the lines that the client wants and that are no longer kept
	known  bool  // whether the id that the client sent is known; if not, missed is not
}

// place returns the place of a client that sent an id: after the event that has it or,
// if that is no longer kept, after an older event than a new client's first.
func (h *historySet) place(id string) place {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := h.count - int64(len(h.ids)) // the number of ids[0]
	kept := max(0, len(h.ids)-h.set.History)
	if i := slices.Index(h.ids[kept:], id); id != "" && i >= 0 {
		return place{id, oldest + int64(kept+i), 0, true}
	}
	i := max(0, len(h.ids)-1-h.back)
	p := place{id: h.ids[i], number: oldest + int64(i), known: id == ""}
	run, offset, _ := strings.Cut(id, "-")
	if n, err := strconv.ParseInt(offset, 36, 64); err == nil && run == h.run {
		p.missed, p.known = max(0, p.number-n), true
	}
	return p
}

// ServeHTTP answers with a stream.
func (h *historySet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, client := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("lastEventId")), r.RemoteAddr
	p := h.place(id)
	r.Header.Set("Last-Event-ID", p.id)
	sse.Serve(w, r, h.set.AcceptOptions, func(source *sse.EventSource) {
		h.join(source, &p)
		source.AfterFunc(func() {
			if errors.Is(source.Err(), sse.ErrSlow) {
				h.report("the client at %s is too slow and was disconnected; --history keeps the last %s for its return", client, plural(int64(h.back), "line"))
			}
		})
		switch {
		case !p.known:
			h.report("the client at %s wants to resume after id %.100q, which is unknown; it gets the last %s", client, id, plural(int64(h.back), "line"))
		case p.missed > 0 && id != "":
			h.report("the client at %s missed %s; a --history of more than %d keeps more", client, plural(p.missed, "line"), h.back)
		}
		select {
		case h.joined <- struct{}{}:
		default:
		}
	})
}

// join adds a source to the set. More may have been dispatched since it got its place
// than the set keeps: the set then begins with the next event.
func (h *historySet) join(source *sse.EventSource, p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if newest := h.count - 1; newest-p.number >= int64(h.set.History) {
		p.missed += newest - p.number
	}
	h.set.Add(source)
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
