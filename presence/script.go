package presence

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
)

// The states that a page reports.
const (
	visible = "visible"
	hidden  = "hidden"
	gone    = "gone"
)

//go:embed page.js
var script []byte

// scriptTag changes with the script.
var scriptTag = func() string {
	sum := sha256.Sum256(script)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}()

// ServeHTTP serves the script for pages and receives its messages:
//
//	http.Handle("/page.js", tracker)
//
// A message is a POST with the page's token, as in [Tracker.Session]. The query parameter
// state is "visible", "hidden" or "gone", and n numbers the page's messages from 1, so
// that late ones can be ignored. A message that repeats the state renews the session; see
// [Tracker.MaxSilence]. No message makes an absent session present. The response is 204
// without a body, 403 if the token is refused, or 400 if a parameter is invalid.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h := w.Header()
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "max-age=3600")
		h.Set("ETag", scriptTag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(script))
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
	query := r.URL.Query()
	state := query.Get("state")
	if state != visible && state != hidden && state != gone {
		http.Error(w, "presence: the query parameter state must be visible, hidden or gone", http.StatusBadRequest)
		return
	}
	var n uint64
	if query.Has("n") {
		if n, err = strconv.ParseUint(query.Get("n"), 10, 64); err != nil {
			http.Error(w, "presence: the query parameter n must be a number", http.StatusBadRequest)
			return
		}
	}
	t.receive(s, state, n)
	w.WriteHeader(http.StatusNoContent)
}
