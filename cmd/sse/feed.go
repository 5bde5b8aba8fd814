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

// A feed is a set whose new members begin some events back. They do so by
// resuming: a new client is taken for one that has seen the event before. What
// it gets is therefore the same as others got, each event once and none left
// out.
type feed struct {
	set    sse.Set
	run    string // tells the ids of this run from those of another one
	back   int    // how many events back new members begin
	joined chan struct{}

	mu    sync.Mutex
	count int64
	ids   []string // of the newest events, the oldest first; at least those that the set keeps
}

func newFeed(history int, o *sse.AcceptOptions) *feed {
	return &feed{
		// Twice as much as needed: more may be dispatched while a client joins.
		set:    sse.Set{History: 2*history + 64, HistoryBytes: -1, HistoryAge: -1, AcceptOptions: o},
		run:    strconv.FormatInt(time.Now().UnixMilli(), 36),
		back:   history,
		joined: make(chan struct{}, 1),
	}
}

// begin dispatches the event that nobody sees, and the first clients resume
// after. It fails if events cannot be of that type.
func (f *feed) begin(typ string) error {
	_, err := f.dispatch(sse.Event{Type: typ})
	return err
}

// dispatch returns the event with its id. Its callers take turns.
func (f *feed) dispatch(e sse.Event) (sse.Event, error) {
	if e.ID == "" {
		e.ID = f.run + "-" + strconv.FormatInt(f.count, 36)
	}
	if _, err := f.set.DispatchEvent(e); err != nil {
		return e, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.ids = append(f.ids, e.ID); len(f.ids) > 2*f.set.History { // now and then, rather than each time
		f.ids = slices.Delete(f.ids, 0, len(f.ids)-f.set.History)
	}
	return e, nil
}

// after returns the id after which a client begins: the one it names, unless
// that is unknown, such as one of another run.
func (f *feed) after(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != "" && slices.Contains(f.ids[max(0, len(f.ids)-f.set.History):], id) {
		return id
	}
	return f.ids[max(0, len(f.ids)-1-f.back)]
}

// ServeHTTP answers with a stream.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("lastEventId"))
	r.Header.Set("Last-Event-ID", f.after(id))
	sse.Serve(w, r, f.set.AcceptOptions, func(source *sse.EventSource) {
		f.set.Add(source)
		select {
		case f.joined <- struct{}{}:
		default:
		}
	})
}

// await waits until there are so many clients.
func (f *feed) await(ctx context.Context, clients int) error {
	for f.set.Len() < clients {
		select {
		case <-f.joined:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
