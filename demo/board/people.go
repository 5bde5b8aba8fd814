package board

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
)

// An author is a visitor as others see them.
type author struct {
	Name string
	Hue  int // of the author's color, in degrees
}

// A visitor is a browser, with any number of tabs.
type visitor struct {
	id string // others see it: the name, and what tells visitors of one name apart
	author
}

// visitorOf returns the visitor who sends a request.
func visitorOf(r *http.Request) visitor {
	c, err := r.Cookie("visitor")
	if err != nil || c.Value == "" {
		return newVisitor(rand.Text()) // not a browser: a visitor for this request alone
	}
	return newVisitor(c.Value)
}

// newVisitor returns the visitor with a cookie, which is secret. Everything about visitors
// is computed from their cookies, so that there is nothing to store.
func newVisitor(cookie string) visitor {
	sum := sha256.Sum256([]byte(cookie))
	pick := func(i, n int) int { return int(binary.BigEndian.Uint16(sum[2*i:])) % n }
	adjectives := strings.Fields("Amber Bold Brisk Calm Clever Cosy Daring Eager Fleet Gentle Happy Jolly Keen Lucky Mellow Merry Nimble Proud Quick Quiet Rapid Sunny Swift Tidy Witty")
	animals := strings.Fields("Badger Beaver Bison Crane Dolphin Falcon Ferret Finch Fox Gecko Heron Ibex Koala Lemur Lynx Marten Newt Otter Owl Panda Puffin Raven Seal Stoat Swan Tapir Toucan Walrus Wombat Wren")
	name := adjectives[pick(0, len(adjectives))] + " " + animals[pick(1, len(animals))]
	return shown(name + "#" + hex.EncodeToString(sum[16:]))
}

// shown returns the visitor with that id.
func shown(id string) visitor {
	name, tag, _ := strings.Cut(id, "#")
	sum := sha256.Sum256([]byte(tag))
	return visitor{id: id, author: author{Name: name, Hue: int(sum[0]) % 24 * 15}}
}

// welcome returns the visitor who requests a page. On the first visit it sets the
// cookie.
func welcome(w http.ResponseWriter, r *http.Request) visitor {
	if c, err := r.Cookie("visitor"); err == nil && c.Value != "" {
		return visitorOf(r)
	}
	cookie := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: "visitor", Value: cookie, Path: "/", MaxAge: 365 * 24 * 60 * 60,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return newVisitor(cookie)
}

// room is the only place that visitors can be in.
const room = "board"

// people are the visitors with an open page. The tracker has their ids. Each stream
// is sent a view of its own.
type people struct {
	presence.Tracker
	views   *views
	viewers sse.Map[viewer]
	showing sync.Mutex // makes the last list that a page gets the newest one
}

// A viewer describes a stream.
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

// join adds a page's stream, and sends it the list of people. A stream without a
// page only watches.
func (p *people) join(source *sse.EventSource, s presence.Session, v viewer) {
	p.viewers.Store(source, v)
	if s.Page != "" {
		if err := p.Connect(source, s, room); err != nil {
			return // the stream has already ended
		}
	}
	p.show(presence.Change{}, source)
}

// show sends the list of people, after a change, to one stream, or to all if only
// is nil.
func (p *people) show(c presence.Change, only *sse.EventSource) {
	p.showing.Lock()
	defer p.showing.Unlock()
	here := p.here()
	p.send(func(source *sse.EventSource, v viewer) (sse.Event, bool) {
		if only != nil && source != only {
			return sse.Event{}, false
		}
		return v.in.event("people", p.html(here, v.visitor, c)), true // with "you" at the viewer's name
	})
}

// runClock sends everybody the time of day in their time zone, until ctx is done.
func (p *people) runClock(ctx context.Context) {
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

// send sends each stream the event that view returns.
func (p *people) send(view func(*sse.EventSource, viewer) (sse.Event, bool)) {
	if _, err := p.viewers.DispatchFunc(view); err != nil {
		log.Printf("sending to people failed: %v", err)
	}
}

// here returns the people who are here, sorted by name, each once.
func (p *people) here() []visitor {
	var list []visitor
	for _, id := range p.Users(room) {
		list = append(list, shown(id))
	}
	slices.SortFunc(list, func(a, b visitor) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.id, b.id))
	})
	return list
}

// html returns the list of people as one of them sees it, and the last change.
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
		news = shown(c.User).Name + " has joined."
	} else if c.User != "" {
		news = shown(c.User).Name + " has left."
	}
	return p.views.html("people", struct {
		People []person
		News   string
	}{list, news})
}
