package board

import (
	"context"
	"errors"
	"log"
	"net/http"
	"strconv"
	"strings"
)

// maxForm is the maximum size of a form in bytes. A form's encoding makes a card's
// text up to three times as long.
const maxForm = 4 * maxText

// post answers a form with 204, or with an error as HTML. The change itself
// reaches everybody, its author included, over the streams.
func (a *App) post(change func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := readForm(r)
		if err == nil {
			err = change(r)
		}
		if err == nil || errors.Is(err, errLate) {
			w.Header().Set("HX-Trigger", "saved") // an event that closes the form's dialog
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		a.refuse(w, r, err)
	}
}

// readForm parses a form of up to maxForm bytes.
func readForm(r *http.Request) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); errors.As(err, new(*http.MaxBytesError)) {
		return errTooLong
	} else if err != nil {
		return mistake{http.StatusBadRequest, "The form cannot be read."}
	}
	return nil
}

// refuse answers with an error as HTML.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var m mistake
	if !errors.As(err, &m) {
		log.Printf("%s: %v", r.URL.Path, err)
		m = mistake{http.StatusInternalServerError, "Something went wrong. Please try again."}
	}
	a.views.respond(w, m.status, "mistake", m.text)
}

func (a *App) add(r *http.Request) error {
	_, err := a.store.add(r.Context(), todo, r.PostFormValue("text"), visitorOf(r).author)
	return a.show(r, err)
}

func (a *App) edit(r *http.Request) error {
	id, revision := number(r.PostFormValue("id")), number(r.PostFormValue("revision"))
	return a.show(r, a.store.edit(r.Context(), id, revision, r.PostFormValue("text"), visitorOf(r).author))
}

// move moves a card to a place such as "doing/7": the column's name, and the ID of
// the card that follows, 0 for none. Ticking a card off moves it to the last column.
func (a *App) move(r *http.Request) error {
	list, before, _ := strings.Cut(r.PostFormValue("to"), "/")
	to := place{Column: column(list), Before: number(before)}
	return a.show(r, a.store.move(r.Context(), number(r.PostFormValue("id")), to, visitorOf(r).author))
}

func (a *App) delete(r *http.Request) error {
	id := number(r.PostFormValue("id"))
	if l, held := a.locks.Load(id); held {
		return errEdited(shown(l.Holder.User).Name)
	}
	return a.show(r, a.store.delete(r.Context(), id))
}

// show shows everybody a change, unless err says that it failed.
func (a *App) show(r *http.Request, err error) error {
	if err != nil {
		return err
	}
	if err := a.streams.show(context.WithoutCancel(r.Context())); err != nil {
		log.Printf("showing the board failed; retrying: %v", err)
		return errLate
	}
	return nil
}

// number parses an ID. It returns 0, which no card has, if there is none.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
