package main

import (
	"net/http"
	"strings"
)

const (
	maxText  = 10 << 10 // bytes of a card
	maxCards = 80       // of a board: everybody is sent all of them
	maxBoard = 96 << 10 // bytes of all texts, as HTML: with all else an event takes 256 KiB
)

// A mistake is an error that a visitor can understand and put right.
type mistake struct {
	status int // of HTTP
	text   string
}

func (m mistake) Error() string { return m.text }

var (
	errEmpty   = mistake{http.StatusUnprocessableEntity, "A card needs some text."}
	errTooLong = mistake{http.StatusUnprocessableEntity, "That is too long: a card takes 10 KB of text."}
	errFull    = mistake{http.StatusConflict, "The board is full. Delete a card first."}
	errUnknown = mistake{http.StatusNotFound, "That card is not there any more: somebody has deleted it."}
	errApart   = mistake{http.StatusConflict, "This page has no connection at the moment. Try again when it is back."}
	errQueue   = mistake{http.StatusConflict, "Too many wait for this card already."}
	errLate    = mistake{http.StatusAccepted, "That is saved, and will be shown as soon as the servers reach each other again."}
	errCutOff  = mistake{http.StatusServiceUnavailable, "This server does not reach the others at the moment. Try again soon."}
	errColumn  = mistake{http.StatusUnprocessableEntity, "There is no such column."}
)

// errEdited tells who is at work on a card that another wants to delete.
func errEdited(by string) mistake {
	return mistake{http.StatusConflict, by + " is editing this card."}
}

// errChanged tells who was faster with the same card.
func errChanged(by string) mistake {
	return mistake{http.StatusConflict, by + " has changed this card meanwhile. Copy your text, close this, and edit the card again."}
}

// checkText returns the text as it is kept: a form sends its lines with CRLF.
func checkText(text string) (string, error) {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "\uFFFD")
	text = strings.TrimRight(text, " \t\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errEmpty
	case len(text) > maxText:
		return "", errTooLong
	}
	return text, nil
}
