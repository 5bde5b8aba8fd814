package board

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A dialect is the way in which an event names the region of the page that its HTML
// is for.
type dialect string

const (
	// named has the region as the event's type: for the browser's EventSource,
	// and for sse-swap="region" of htmx 2.
	named dialect = "named"

	// partials has the region in the HTML: for htmx 4, which swaps unnamed
	// messages only.
	partials dialect = "partials"
)

// event returns an event with new HTML for a region of the page.
func (d dialect) event(region, html string) sse.Event {
	if d == partials {
		return sse.Event{Data: fmt.Sprintf("<hx-partial hx-target=\"#%s\">\n%s\n</hx-partial>", region, html)}
	}
	return sse.Event{Type: region, Data: html}
}

// dialects are all dialects.
var dialects = []dialect{named, partials}

// streams keep the pages up to date. Each page has one stream, for all of its
// regions: over HTTP/1.1 a browser opens up to six connections to a server, for all
// of its tabs.
type streams struct {
	store   *store
	locks   *locks.Table[int64]
	people  *people
	machine *machine
	views   *views
	node    string // the name of this process, "" if there is only one

	// flush is not nil if changes show the board in their own transactions: it has that
	// done at once.
	flush func(context.Context) error

	// The hubs have a set for each region and dialect, such as "board/named".
	// The board is shared: with a Log, see App.Share, it is sent to the pages of
	// all nodes, and a page can resume at any node. The other regions are sent
	// by each node to its own pages: they keep no history, and a page that
	// connects gets them whole.
	shared, own sse.Hub
}

func newStreams(st *store, l *locks.Table[int64], p *people, m *machine, v *views) *streams {
	s := &streams{store: st, locks: l, people: p, machine: m, views: v}
	l.Changed = func(locks.Change[int64]) { s.send("locks", s.lockList()) }
	s.shared.NewSet = s.prepare
	s.own.NewSet = s.prepare
	s.own.History = -1
	return s
}

// prepare sets up a hub's new set.
func (s *streams) prepare(name string, set *sse.Set) {
	region, in, _ := strings.Cut(name, "/")
	set.Slow = sse.LatestPerKey // each event is a whole region: the latest one is enough
	set.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
		html, err := s.region(region)
		if err != nil {
			log.Printf("rendering %s failed: %v", region, err)
			return nil, err
		}
		return []sse.Event{dialect(in).event(region, html)}, nil
	}
}

// serve returns a handler of streams in that dialect. A page identifies itself by its token. A
// client without one, such as curl, can watch, and is not listed among the people.
func (s *streams) serve(in dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var session presence.Session
		if r.URL.Query().Has("page") {
			var err error
			if session, err = s.people.Session(r); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
		}
		v := viewer{visitor: visitorOf(r), in: in, zone: zoneOf(r)}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			s.own.Add(source, "node/"+string(in), "locks/"+string(in), "machine/"+string(in))
			s.shared.Add(source, "board/"+string(in))
			s.people.join(source, session, v)
		})
	}
}

// send sends a region to the pages of this process.
func (s *streams) send(region, html string) {
	for _, d := range dialects {
		s.own.Set(region + "/" + string(d)).DispatchEvent(d.event(region, html))
	}
}

// showIn sends the board to the pages of all processes if a transaction commits.
func (s *streams) showIn(ctx context.Context, o backplane.Outbox, cards []card, changed int64) error {
	html := s.views.board(cards, changed)
	for _, d := range dialects {
		if err := s.shared.Set("board/"+string(d)).DispatchIn(ctx, o, "", d.event("board", html)); err != nil {
			return err
		}
	}
	return nil
}

// show sends the board to the pages of all processes, if it has changed.
func (s *streams) show(ctx context.Context) error {
	if s.flush != nil {
		return s.flush(ctx)
	}
	return s.store.show(ctx, func(version int64, cards []card, changed int64) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // other writers wait for the transaction's end
		defer cancel()
		html := s.views.board(cards, changed)
		for _, d := range dialects {
			key := fmt.Sprintf("%d/%s", version, d)
			if _, err := s.shared.Set("board/"+string(d)).DispatchOnce(ctx, key, d.event("board", html)); err != nil {
				return err
			}
		}
		return nil
	})
}

// retry shows changes that were not shown when they were made, perhaps by a process
// that has died since. It returns when ctx is done.
func (s *streams) retry(ctx context.Context) {
	if s.flush != nil {
		return // the database does that
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.show(ctx); err != nil && ctx.Err() == nil {
				log.Printf("showing the board failed; retrying: %v", err)
			}
		}
	}
}

// region returns a region's HTML as it is now.
func (s *streams) region(name string) (string, error) {
	switch name {
	case "node":
		return s.views.html("node", s.node), nil
	case "locks":
		return s.lockList(), nil
	case "machine":
		return s.machine.html(), nil
	}
	cards, err := s.store.cards(context.Background())
	if err != nil {
		return "", err
	}
	return s.views.board(cards, 0), nil
}

// lockList returns the locks as HTML.
func (s *streams) lockList() string { return s.views.html("locks", lockViews(s.locks)) }
