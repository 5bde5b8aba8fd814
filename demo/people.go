package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"log"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.org/sse"
)

// An author is how others see a visitor.
type author struct {
	Name string
	Hue  int // of the colour, in degrees
}

// A visitor is a browser, however many of its tabs are open.
type visitor struct {
	id string // random, in a cookie; nobody else is told
	author
}

// visitorOf returns the visitor who sends a request. Name and colour follow
// from the id, so that there is nothing to store.
func visitorOf(r *http.Request) visitor {
	c, err := r.Cookie("visitor")
	if err != nil || c.Value == "" {
		return newVisitor(rand.Text()) // no browser: one request is all it lives for
	}
	return newVisitor(c.Value)
}

func newVisitor(id string) visitor {
	sum := sha256.Sum256([]byte(id))
	pick := func(i, n int) int { return int(binary.BigEndian.Uint16(sum[2*i:])) % n }
	adjectives := strings.Fields("Amber Bold Brisk Calm Clever Cosy Daring Eager Fleet Gentle Happy Jolly Keen Lucky Mellow Merry Nimble Proud Quick Quiet Rapid Sunny Swift Tidy Witty")
	animals := strings.Fields("Badger Beaver Bison Crane Dolphin Falcon Ferret Finch Fox Gecko Heron Ibex Koala Lemur Lynx Marten Newt Otter Owl Panda Puffin Raven Seal Stoat Swan Tapir Toucan Walrus Wombat Wren")
	name := adjectives[pick(0, len(adjectives))] + " " + animals[pick(1, len(animals))]
	return visitor{id: id, author: author{Name: name, Hue: pick(2, 24) * 15}}
}

// welcome gives a browser its cookie, at its first page, and returns who it is.
func welcome(w http.ResponseWriter, r *http.Request) visitor {
	if c, err := r.Cookie("visitor"); err == nil && c.Value != "" {
		return visitorOf(r)
	}
	v := newVisitor(rand.Text())
	http.SetCookie(w, &http.Cookie{
		Name: "visitor", Value: v.id, Path: "/", MaxAge: 365 * 24 * 60 * 60,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return v
}

// people are those who have a page open.
type people struct {
	views   *views
	viewers sse.Map[viewer]
	signal  chan struct{}
}

// A viewer is what is known about a stream.
type viewer struct {
	visitor
	in dialect
}

func newPeople(v *views) *people {
	return &people{views: v, signal: make(chan struct{}, 1)}
}

// join adds the one to whom a stream goes, until it ends.
func (p *people) join(source *sse.EventSource, v visitor, in dialect) {
	p.viewers.Store(source, viewer{visitor: v, in: in})
	p.changed()
}

// changed tells that somebody has joined or left. It waits for nothing.
func (p *people) changed() {
	select {
	case p.signal <- struct{}{}:
	default: // told already
	}
}

// run shows who is here whenever that changes, until the context is done.
func (p *people) run(ctx context.Context) {
	var before []visitor
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.signal:
		}
		// Who goes from one page to the next leaves and joins: wait for both.
		select {
		case <-ctx.Done():
			return
		case <-time.After(300 * time.Millisecond):
		}
		now := p.here()
		news := difference(before, now)
		before = now
		// Each viewer gets a view of its own: one of the people is "you".
		_, err := p.viewers.DispatchFunc(func(_ *sse.EventSource, v viewer) (sse.Event, bool) {
			return v.in.event("people", p.html(now, v.visitor, news)), true
		})
		if err != nil {
			log.Printf("people: %v", err)
		}
	}
}

// here returns who is here, each once, by name.
func (p *people) here() []visitor {
	var list []visitor
	for _, v := range p.viewers.All() {
		list = append(list, v.visitor)
	}
	slices.SortFunc(list, func(a, b visitor) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.id, b.id))
	})
	return slices.Compact(list)
}

// news are those who have come and gone since the last time.
type news struct{ Joined, Left []author }

func difference(before, now []visitor) (n news) {
	for _, v := range now {
		if !slices.Contains(before, v) {
			n.Joined = append(n.Joined, v.author)
		}
	}
	for _, v := range before {
		if !slices.Contains(now, v) {
			n.Left = append(n.Left, v.author)
		}
	}
	return n
}

// html returns the list as one of the people sees it.
func (p *people) html(here []visitor, you visitor, n news) string {
	type person struct {
		author
		You, New bool
	}
	list := make([]person, 0, len(here))
	for _, v := range here {
		list = append(list, person{v.author, v == you, slices.Contains(n.Joined, v.author)})
	}
	return p.views.html("people", struct {
		People []person
		News   news
	}{list, n})
}
