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
	people  *people
	machine *machine
	views   *views

	// hub has a set for each region and dialect: "board/named". They share a
	// log, so that a page that comes back resumes in all of them.
	hub sse.Hub

	changing sync.Mutex
}

func newStreams(b *board, p *people, m *machine, v *views) *streams {
	s := &streams{board: b, people: p, machine: m, views: v}
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

// serve answers with a stream in that dialect.
func (s *streams) serve(in dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		zone := zoneOf(r)
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return // answered
		}
		defer s.people.changed() // last: closed, the source has left all sets
		defer source.Close()

		s.hub.Add(source, "board/"+string(in), "machine/"+string(in))
		s.people.join(source, visitorOf(r), in)

		// The clock is this page's own: it shows the visitor's time.
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			source.DispatchEvent(in.event("clock", s.views.html("clock", time.Now().In(zone))))
			select {
			case <-tick.C:
			case <-source.Done():
				return
			}
		}
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
	s.publish("board", s.views.board(cards, id))
	return nil
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
	return s.views.board(cards, 0), nil
}
