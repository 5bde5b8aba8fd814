package main

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

// A lock is a card's: whoever edits it holds it. Its holder is a page, and if that
// is gone, closed, or its browser is dead, the next in line holds it, or nobody.

// An answer tells a page how things are with a card that it wants to edit.
type answer struct {
	Page     string `json:"page"` // the one that asks: cards name the pages that edit them
	Holder   string `json:"holder,omitempty"`
	Since    string `json:"since,omitempty"`
	Place    int    `json:"place,omitempty"` // in line, 0: not there
	Lock     string `json:"lock,omitempty"`  // if it is the page's own: what a save has to name
	Text     string `json:"text,omitempty"`
	Revision int64  `json:"revision,omitempty"`
}

// lock takes a card's lock, waits in line for it, takes it over from whoever holds
// it, or gives it back. The board shows the change to everybody.
func (a *app) lock(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	s, err := a.people.Session(r)
	if err != nil {
		http.Error(w, "Load this page again, please: "+err.Error(), http.StatusForbidden)
		return
	}
	id := number(r.PostFormValue("id"))
	if r.PostFormValue("how") == "release" { // of a card that was deleted, too
		if _, err := a.locks.Release(r.Context(), s, id); err != nil && !errors.Is(err, locks.ErrNotHeld) {
			log.Printf("release: %v", err)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if _, err := a.board.card(r.Context(), id); err != nil {
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
		err = nil // the answer tells
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
	_ = json.NewEncoder(w).Encode(reply) // to a page that is gone there is nothing to say
}

// change does what a page wants with a card's lock.
func (a *app) change(ctx context.Context, s presence.Session, id int64, how string) (locks.Lock[int64], error) {
	switch how {
	case "take":
		return a.locks.Take(ctx, s, id)
	case "queue":
		return a.locks.Queue(ctx, s, id)
	case "steal":
		return a.locks.Steal(ctx, s, id, "")
	}
	return locks.Lock[int64]{}, mistake{http.StatusBadRequest, "There is no such thing to do with a lock."}
}

func (a *app) answer(ctx context.Context, s presence.Session, l locks.Lock[int64]) (answer, error) {
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
	c, err := a.board.card(ctx, l.Key) // now that nobody else changes it
	reply.Lock, reply.Text, reply.Revision = strconv.FormatUint(l.Fence, 10), c.Text, c.Revision
	return reply, err
}

// save lets a text through that comes from the page that holds the card's lock.
func (a *app) save() http.Handler {
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
	Page    string // that holds it
	Queue   string // the pages that wait for it
	Waiting int
}

// lockViews returns the locks that have a holder.
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
