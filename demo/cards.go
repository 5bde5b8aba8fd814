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
		if err == nil {
			w.Header().Set("HX-Trigger", "saved") // an event for the form's dialog to close on
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
	return a.streams.change(r.Context(), func(ctx context.Context) (int64, error) {
		return a.board.add(ctx, todo, r.PostFormValue("text"), visitorOf(r).author)
	})
}

func (a *app) edit(r *http.Request) error {
	id := number(r.PostFormValue("id"))
	return a.streams.change(r.Context(), func(ctx context.Context) (int64, error) {
		revision := number(r.PostFormValue("revision"))
		return id, a.board.edit(ctx, id, revision, r.PostFormValue("text"), visitorOf(r).author)
	})
}

// move takes the place as its column's name and the ID of the card that it is
// in front of: "doing/7". To tick a card off is to move it to the last column.
func (a *app) move(r *http.Request) error {
	id := number(r.PostFormValue("id"))
	list, before, _ := strings.Cut(r.PostFormValue("to"), "/")
	to := place{Column: column(list), Before: number(before)}
	return a.streams.change(r.Context(), func(ctx context.Context) (int64, error) {
		return id, a.board.move(ctx, id, to, visitorOf(r).author)
	})
}

func (a *app) delete(r *http.Request) error {
	id := number(r.PostFormValue("id"))
	if holder, ok := a.locks.Holder(id); ok {
		return errEdited(newVisitor(holder.User).Name)
	}
	return a.streams.change(r.Context(), func(ctx context.Context) (int64, error) {
		return id, a.board.delete(ctx, id)
	})
}

// number returns an ID, or 0, which no card has.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
