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
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
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
	if err != nil || c.Value == "" || len(c.Value) > presence.MaxName {
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

// room is the one place where visitors are.
const room = "board"

// people are those who have a page open. The tracker knows who, by the visitor's
// id; each of their streams is sent a view of its own.
type people struct {
	presence.Tracker
	views   *views
	viewers sse.Map[viewer]
	showing sync.Mutex // so that the last list that a page gets is the newest
}

// A viewer is what is known about a stream.
type viewer struct {
	visitor
	in   dialect
	zone *time.Location
}

func newPeople(v *views, key []byte) *people {
	p := &people{views: v}
	p.Key = key
	p.User = func(r *http.Request) string { return visitorOf(r).id }
	p.Changed = func(c presence.Change) { p.show(c, nil) }
	return p
}

// join adds a page by its stream. A page of before a restart has missed the list.
func (p *people) join(source *sse.EventSource, s presence.Session, v viewer) {
	p.viewers.Store(source, v)
	if s.Page != "" {
		if err := p.Connect(source, s, room); err != nil {
			return // the stream has ended already
		}
	}
	p.show(presence.Change{}, source)
}

// show sends who is here, after a change, to one stream or to all.
func (p *people) show(c presence.Change, only *sse.EventSource) {
	p.showing.Lock()
	defer p.showing.Unlock()
	here := p.here()
	p.send(func(source *sse.EventSource, v viewer) (sse.Event, bool) {
		if only != nil && source != only {
			return sse.Event{}, false
		}
		return v.in.event("people", p.html(here, v.visitor, c)), true // one of the people is "you"
	})
}

// tick shows everybody the time of day where they are, until the context is done.
func (p *people) tick(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-second.C:
			p.send(func(_ *sse.EventSource, v viewer) (sse.Event, bool) {
				return v.in.event("clock", p.views.html("clock", now.In(v.zone))), true
			})
		}
	}
}

// send sends each stream what view returns.
func (p *people) send(view func(*sse.EventSource, viewer) (sse.Event, bool)) {
	if _, err := p.viewers.DispatchFunc(view); err != nil {
		log.Printf("people: %v", err)
	}
}

// here returns who is here, each once, by name.
func (p *people) here() []visitor {
	var list []visitor
	for _, id := range p.Users(room) {
		list = append(list, newVisitor(id))
	}
	slices.SortFunc(list, func(a, b visitor) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.id, b.id))
	})
	return list
}

// html returns the list as one of the people sees it, and what has just changed.
func (p *people) html(here []visitor, you visitor, c presence.Change) string {
	type person struct {
		author
		You, New bool
	}
	list := make([]person, 0, len(here))
	for _, v := range here {
		list = append(list, person{v.author, v == you, c.Joined && v.id == c.User})
	}
	news := ""
	if c.Joined {
		news = newVisitor(c.User).Name + " has joined."
	} else if c.User != "" {
		news = newVisitor(c.User).Name + " has left."
	}
	return p.views.html("people", struct {
		People []person
		News   string
	}{list, news})
}
