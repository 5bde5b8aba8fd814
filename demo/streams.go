package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync"
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

// streams keep the pages up to date. Each page has one, which carries all of
// its regions: a browser opens no more than six connections to a server, over
// all tabs.
type streams struct {
	board   *board
	locks   *locks.Table[int64]
	people  *people
	machine *machine
	views   *views

	// hub has a set for each region and dialect: "board/named". They share a
	// log, so that a page that comes back resumes in all of them.
	hub sse.Hub

	changing  sync.Mutex
	changed   int64     // the card that was changed last, to be pointed out
	changedAt time.Time // for a moment
}

func newStreams(b *board, l *locks.Table[int64], p *people, m *machine, v *views) *streams {
	s := &streams{board: b, locks: l, people: p, machine: m, views: v}
	l.Changed = func(c locks.Change[int64]) { s.showLock(c) }
	s.hub.Init = func(name string, set *sse.Set) {
		region, in, _ := strings.Cut(name, "/")
		set.Slow = sse.LatestPerKey // each event is the whole region: the last one will do
		set.Snapshot = func(source *sse.EventSource) {
			if html, err := s.region(region); err != nil {
				log.Printf("%s: %v", region, err)
			} else {
				source.DispatchEvent(dialect(in).event(region, html))
			}
		}
	}
	return s
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
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return // answered
		}
		defer source.Close() // should one of the following panic

		s.hub.Add(source, "board/"+string(in), "machine/"+string(in))
		s.people.join(source, session, viewer{visitor: visitorOf(r), in: in, zone: zoneOf(r)})
		source.Detach()
	}
}

// publish sends a region to all pages.
func (s *streams) publish(region, html string) {
	for _, d := range []dialect{named, partials} {
		s.hub.Set(region + "/" + string(d)).DispatchEvent(d.event(region, html))
	}
}

// change makes a change to the board and shows it to everybody. One at a time:
// the changes are dispatched in the order in which they were committed.
func (s *streams) change(ctx context.Context, do func(context.Context) (changed int64, err error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	// The author may leave at any time. What is committed is shown all the same.
	ctx = context.WithoutCancel(ctx)
	id, err := do(ctx)
	if err != nil {
		return err
	}
	cards, err := s.board.cards(ctx)
	if err != nil {
		return err
	}
	if id != 0 {
		s.changed, s.changedAt = id, time.Now()
	} else if time.Since(s.changedAt) < 2*time.Second {
		id = s.changed
	}
	s.publish("board", s.views.board(cards, lockViews(s.locks), id))
	return nil
}

// showLock shows everybody that a card's lock has changed.
func (s *streams) showLock(locks.Change[int64]) {
	nothing := func(context.Context) (int64, error) { return 0, nil }
	if err := s.change(context.Background(), nothing); err != nil {
		log.Printf("show the locks: %v", err)
	}
}

// region returns a region as it is now.
func (s *streams) region(name string) (string, error) {
	if name == "machine" {
		return s.machine.html(), nil
	}
	cards, err := s.board.cards(context.Background())
	if err != nil {
		return "", err
	}
	return s.views.board(cards, lockViews(s.locks), 0), nil
}
