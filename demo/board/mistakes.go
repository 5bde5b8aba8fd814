package board

import (
	"net/http"
	"strings"
)

const (
	maxText  = 10 << 10 // bytes of a card's text
	maxCards = 80       // per board: each event contains all of them
	maxBoard = 96 << 10 // bytes of all texts as HTML: with the rest, an event stays below 256 KiB
)

// A mistake is an error that a visitor can understand and correct.
type mistake struct {
	status int // the HTTP status
	text   string
}

func (m mistake) Error() string { return m.text }

var (
	errEmpty   = mistake{http.StatusUnprocessableEntity, "A card needs some text."}
	errTooLong = mistake{http.StatusUnprocessableEntity, "That is too long: a card holds up to 10 KB of text."}
	errFull    = mistake{http.StatusConflict, "The board is full. Delete a card first."}
	errUnknown = mistake{http.StatusNotFound, "That card no longer exists: somebody has deleted it."}
	errLate    = mistake{http.StatusAccepted, "Saved. Everybody will see it as soon as the servers can reach each other again."}
	errColumn  = mistake{http.StatusUnprocessableEntity, "There is no such column."}
)

// errEdited is for deleting a card that somebody else is editing.
func errEdited(by string) mistake {
	return mistake{http.StatusConflict, by + " is editing this card."}
}

// errChanged is for saving a card that somebody else has changed since.
func errChanged(by string) mistake {
	return mistake{http.StatusConflict, by + " has changed this card in the meantime. Copy your text, close the editor, and edit the card again."}
}

// checkText returns the text as it is stored: with LF, where a form sends CRLF.
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
