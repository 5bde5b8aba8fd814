package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"example.org/sse"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A dialect is how a page is told which of its regions new HTML is for.
type dialect string

const (
	// named: the region is the event's type. For the browser's EventSource,
	// and for htmx 2, which has sse-swap="region".
	named dialect = "named"

	// partials: the region is part of the HTML. For htmx 4, which swaps
	// unnamed messages alone.
	partials dialect = "partials"
)

// event returns new HTML for a region of the page.
func (d dialect) event(region, html string) sse.Event {
	if d == partials {
		return sse.Event{Data: fmt.Sprintf("<hx-partial hx-target=\"#%s\">\n%s\n</hx-partial>", region, html)}
	}
	return sse.Event{Type: region, Data: html}
}

// dialects are all there are.
var dialects = []dialect{named, partials}

// streams keep the pages up to date. Each page has one, which carries all of
// its regions: a browser opens no more than six connections to a server, over
// all tabs.
type streams struct {
	board   *board
	locks   *locks.Table[int64]
	people  *people
	machine *machine
	views   *views
	node    string // the name of this process, if there are several

	// The hubs have a set for each region and dialect: "board/named". The board
	// is everybody's: with a Log, see node.go, it is sent to the pages of
	// all processes, and a page resumes at any. The rest is what each process
	// tells its own pages: it keeps no history, and a page that comes gets all.
	shared, own sse.Hub
}

func newStreams(b *board, l *locks.Table[int64], p *people, m *machine, v *views) *streams {
	s := &streams{board: b, locks: l, people: p, machine: m, views: v}
	l.Changed = func(locks.Change[int64]) { s.tell("locks", s.lockList()) }
	s.shared.NewSet = s.prepare
	s.own.NewSet = s.prepare
	s.own.History = -1
	return s
}

// prepare makes a hub's set.
func (s *streams) prepare(name string, set *sse.Set) {
	region, in, _ := strings.Cut(name, "/")
	set.Slow = sse.LatestPerKey // each event is the whole region: the last one will do
	set.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
		html, err := s.region(region)
		if err != nil {
			log.Printf("%s: %v", region, err)
			return nil, err
		}
		return []sse.Event{dialect(in).event(region, html)}, nil
	}
}

// serve answers with a stream in that dialect. A page says by its token which one
// it is; whoever has none, as curl, looks on and is not seen.
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

// tell sends a region to the pages of this process.
func (s *streams) tell(region, html string) {
	for _, d := range dialects {
		s.own.Set(region + "/" + string(d)).DispatchEvent(d.event(region, html))
	}
}

// show sends the board to all pages, of all processes, if it has changed.
func (s *streams) show(ctx context.Context) error {
	return s.board.show(ctx, func(version int64, cards []card, changed int64) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // others wait for the transaction's end
		defer cancel()
		html := s.views.board(cards, changed)
		for _, d := range dialects {
			once := fmt.Sprintf("%d/%s", version, d)
			if _, err := s.shared.Set("board/"+string(d)).DispatchOnce(ctx, once, d.event("board", html)); err != nil {
				return err
			}
		}
		return nil
	})
}

// remind shows what could not be shown when it was changed, until the context is
// done; perhaps by a process that is no more.
func (s *streams) remind(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.show(ctx); err != nil && ctx.Err() == nil {
				log.Printf("show the board: %v; it is tried again", err)
			}
		}
	}
}

// region returns a region as it is now.
func (s *streams) region(name string) (string, error) {
	switch name {
	case "node":
		return s.views.html("node", s.node), nil
	case "locks":
		return s.lockList(), nil
	case "machine":
		return s.machine.html(), nil
	}
	cards, err := s.board.cards(context.Background())
	if err != nil {
		return "", err
	}
	return s.views.board(cards, 0), nil
}

// lockList returns who edits which card.
func (s *streams) lockList() string { return s.views.html("locks", lockViews(s.locks)) }
