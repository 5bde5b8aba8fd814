package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"strconv"
	"strings"
)

// maxForm is how much may be posted: a card's text takes three times its length
// in a form, at worst.
const maxForm = 4 * maxText

// post answers a form with 204, or with what is wrong as HTML. The change
// itself comes to everybody over the streams, to its author as well.
func (a *app) post(change func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := readForm(r)
		if err == nil {
			err = change(r)
		}
		if err == nil || errors.Is(err, errLate) {
			w.Header().Set("HX-Trigger", "saved") // an event for the form's dialog to close on
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		a.refuse(w, r, err)
	}
}

// readForm parses a form, which must not be larger than it has to be.
func readForm(r *http.Request) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); errors.As(err, new(*http.MaxBytesError)) {
		return errTooLong
	} else if err != nil {
		return mistake{http.StatusBadRequest, "That form cannot be read."}
	}
	return nil
}

// refuse answers with what is wrong, as HTML.
func (a *app) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var m mistake
	if !errors.As(err, &m) {
		log.Printf("%s: %v", r.URL.Path, err)
		m = mistake{http.StatusInternalServerError, "That went wrong. Please try again."}
	}
	a.views.respond(w, m.status, "mistake", m.text)
}

func (a *app) add(r *http.Request) error {
	_, err := a.board.add(r.Context(), todo, r.PostFormValue("text"), visitorOf(r).author)
	return a.show(r, err)
}

func (a *app) edit(r *http.Request) error {
	id, revision := number(r.PostFormValue("id")), number(r.PostFormValue("revision"))
	return a.show(r, a.board.edit(r.Context(), id, revision, r.PostFormValue("text"), visitorOf(r).author))
}

// move takes the place as its column's name and the ID of the card that it is
// in front of: "doing/7". To tick a card off is to move it to the last column.
func (a *app) move(r *http.Request) error {
	list, before, _ := strings.Cut(r.PostFormValue("to"), "/")
	to := place{Column: column(list), Before: number(before)}
	return a.show(r, a.board.move(r.Context(), number(r.PostFormValue("id")), to, visitorOf(r).author))
}

func (a *app) delete(r *http.Request) error {
	id := number(r.PostFormValue("id"))
	if l, held := a.locks.Load(id); held {
		return errEdited(newVisitor(l.Holder.User).Name)
	}
	return a.show(r, a.board.delete(r.Context(), id))
}

// show shows a change to everybody, unless it has failed.
func (a *app) show(r *http.Request, err error) error {
	if err != nil {
		return err
	}
	if err := a.streams.show(context.WithoutCancel(r.Context())); err != nil {
		log.Printf("show the board: %v; it is tried again", err)
		return errLate
	}
	return nil
}

// number returns an ID, or 0, which no card has.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
