package presence

import (
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"example.org/sse/browser"
	"example.org/sse/internal/script"
)

// The states that a page reports.
const (
	visible = "visible"
	hidden  = "hidden"
	gone    = "gone"
)

//go:embed page.js
var pageScript string

// page is the module of package browser and the page's, in one file: the second one's first
// line imports the first.
var page = func() *script.Script {
	_, rest, _ := strings.Cut(pageScript, "\n")
	return script.New(browser.Source() + rest)
}()

// ServeHTTP serves the script for pages and receives its messages:
//
//	http.Handle("/page.js", tracker)
//
// A message is a POST with the page's token, as in [Tracker.Session]. The query parameter
// state is "visible", "hidden" or "gone", and n numbers the page's messages from 1, so
// that late ones can be ignored. A message that repeats the state renews the session; see
// [Tracker.MaxSilence]. No message makes an absent session present.
//
// A body of the Content-Type application/json is the session's new data, see
// [Tracker.SetData]; the state may be missing then.
//
// The response is 204 without a body. It is 403 if the token is refused; 400 if a
// parameter is invalid, or the body is not JSON; 413 if the body is larger than 1 KiB; and
// 409 if there is data and the session is not present, as before its stream has begun:
// send the data again then.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		page.ServeHTTP(w, r)
	case http.MethodPost:
		t.serveMessage(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	}
}

// serveMessage receives a page's message.
func (t *Tracker) serveMessage(w http.ResponseWriter, r *http.Request) {
	s, err := t.Session(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	var m message
	if m.data, err = readData(w, r); errors.As(err, new(*http.MaxBytesError)) {
		http.Error(w, fmt.Sprintf("presence: the data is longer than %d bytes", maxData), http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		http.Error(w, "presence: the body is not JSON", http.StatusBadRequest)
		return
	}
	query := r.URL.Query()
	m.state = query.Get("state")
	if m.state != visible && m.state != hidden && m.state != gone && (query.Has("state") || m.data == nil) {
		http.Error(w, "presence: the query parameter state must be visible, hidden or gone", http.StatusBadRequest)
		return
	}
	if query.Has("n") {
		if m.n, err = strconv.ParseUint(query.Get("n"), 10, 64); err != nil {
			http.Error(w, "presence: the query parameter n must be a number", http.StatusBadRequest)
			return
		}
	}
	if !t.receive(s, m) && m.data != nil {
		http.Error(w, errAbsent.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// readData returns the data in the body of a page's message, or nil.
func readData(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, nil //nolint:nilerr // the body is not data
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxData))
	if err != nil {
		return nil, err
	}
	return json.Marshal(json.RawMessage(body)) // in one spelling
}
