package board

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strconv"
	"strings"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// Each card has a lock, which a page holds while it edits the card. When that page
// is closed, or its browser dies, the next page in the queue gets the lock.

// An answer describes the lock of a card that a page wants to edit.
type answer struct {
	Page     string `json:"page"` // the page that asks: cards name the pages that edit them
	Holder   string `json:"holder,omitempty"`
	Since    string `json:"since,omitempty"`
	Place    int    `json:"place,omitempty"` // in the queue, from 1; 0 means not queued
	Fence    string `json:"fence,omitempty"` // if the page holds the lock: what a save must send
	Text     string `json:"text,omitempty"`
	Revision int64  `json:"revision,omitempty"`
}

// lock takes a card's lock, queues for it, takes it over from its holder, or
// releases it. Everybody's board shows the change.
func (a *App) lock(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	s, err := a.people.Session(r)
	if err != nil {
		http.Error(w, "Please reload this page: "+err.Error(), http.StatusForbidden)
		return
	}
	id := number(r.PostFormValue("id"))
	if r.PostFormValue("how") == "release" { // also of a card that was deleted
		if _, err := a.locks.Release(r.Context(), s, id); err != nil && !errors.Is(err, locks.ErrNotHeld) {
			log.Printf("releasing a lock failed: %v", err)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if _, err := a.store.card(r.Context(), id); err != nil {
		a.refuse(w, r, err)
		return
	}
	l, err := a.change(r.Context(), s, id, r.PostFormValue("how"))
	switch {
	case errors.Is(err, locks.ErrAbsent):
		err = errApart
	case errors.Is(err, locks.ErrQueueFull):
		err = errQueue
	case errors.Is(err, locks.ErrHeld):
		err = nil // the answer says so
	case errors.Is(err, backplane.ErrIndeterminate), errors.Is(err, locks.ErrCutOff):
		err = errCutOff
	}
	var reply answer
	if err == nil {
		reply, err = a.answer(r.Context(), s, l)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply) // fails if the page is gone
}

// change takes, queues for, or takes over a card's lock.
func (a *App) change(ctx context.Context, s presence.Session, id int64, how string) (locks.Lock[int64], error) {
	switch how {
	case "take":
		return a.locks.Take(ctx, s, id)
	case "queue":
		return a.locks.Queue(ctx, s, id)
	case "steal":
		return a.locks.Steal(ctx, s, id, "")
	}
	return locks.Lock[int64]{}, mistake{http.StatusBadRequest, "A lock can be taken, queued for, taken over or released."}
}

// answer describes a lock to the page that asked.
func (a *App) answer(ctx context.Context, s presence.Session, l locks.Lock[int64]) (answer, error) {
	reply := answer{Page: s.Page}
	if l.Holder != s {
		reply.Holder = newVisitor(l.Holder.User).Name
		if l.Holder.User == s.User {
			reply.Holder = "Another window of yours"
		}
		reply.Since = l.Since.UTC().Format("2006-01-02T15:04:05Z")
		for i, waits := range l.Queue {
			if waits == s {
				reply.Place = i + 1
			}
		}
		return reply, nil
	}
	c, err := a.store.card(ctx, l.Key) // now nobody else can change it
	reply.Fence, reply.Text, reply.Revision = strconv.FormatUint(l.Fence, 10), c.Text, c.Revision
	return reply, err
}

// save saves a text if it comes from the page that holds the card's lock.
func (a *App) save() http.Handler {
	cardOf := func(r *http.Request) (int64, error) {
		if err := readForm(r); err != nil {
			return 0, err
		}
		return number(r.PostFormValue("id")), nil
	}
	save := a.post(a.edit)
	return a.locks.Guard(cardOf, func(w http.ResponseWriter, r *http.Request, _ locks.Lock[int64]) { save(w, r) })
}

// A lockView is a lock as everybody sees it.
type lockView struct {
	author
	Card    int64
	Page    string // its holder
	Queue   string // the pages that wait for it, separated by spaces
	Waiting int    // the number of pages in Queue
}

// lockViews returns the locks that are held.
func lockViews(table *locks.Table[int64]) (all []lockView) {
	for l := range table.All() {
		v := lockView{author: newVisitor(l.Holder.User).author, Card: l.Key, Page: l.Holder.Page, Waiting: len(l.Queue)}
		var pages []string
		for _, s := range l.Queue {
			pages = append(pages, s.Page)
		}
		v.Queue = strings.Join(pages, " ")
		all = append(all, v)
	}
	return all
}
