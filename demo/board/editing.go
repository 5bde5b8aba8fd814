package board

import (
	"encoding/json"
	"net/http"
	"strings"

	"example.org/sse/locks"
)

// Each card has a lock, which a page holds while it edits the card. When that page
// is closed, or its browser dies, the next page in the queue gets the lock.

// lockable returns the card whose lock a page asks for. A lock can be released after its
// card was deleted.
func (a *App) lockable(r *http.Request) (int64, error) {
	id := number(r.FormValue("id"))
	if r.FormValue("action") == "release" {
		return id, nil
	}
	_, err := a.store.card(r.Context(), id)
	return id, err
}

// text answers with the text of a card, for a page that has its lock: now nobody else can
// change it.
func (a *App) text(w http.ResponseWriter, r *http.Request) {
	c, err := a.store.card(r.Context(), number(r.PathValue("id")))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"text": c.Text, "revision": c.Revision}) // fails if the page is gone
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
		v := lockView{author: shown(l.Holder.User).author, Card: l.Key, Page: l.Holder.Page, Waiting: len(l.Queue)}
		var pages []string
		for _, s := range l.Queue {
			pages = append(pages, s.Page)
		}
		v.Queue = strings.Join(pages, " ")
		all = append(all, v)
	}
	return all
}
