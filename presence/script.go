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

// What a page says of itself.
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

// ServeHTTP serves the script of pages, and takes what it has to say:
//
//	http.Handle("/page.js", tracker)
//
// A POST with the page's token, as in [Tracker.Session], says by the query
// parameter state that the page is "visible", "hidden" or "gone", and by n for
// the how many-th time it says something, from 1 on: what was overtaken on the
// way is of no use. Saying the same again renews the session; see
// [Tracker.MaxSilence]. None of this makes a session present that is not. The answer
// is 204 without a body, 403 if the token is refused, or 400 to anything else.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h := w.Header()
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "max-age=3600")
		h.Set("ETag", scriptTag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(script))
	case http.MethodPost:
		t.hear(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	}
}

// hear takes what a page says.
func (t *Tracker) hear(w http.ResponseWriter, r *http.Request) {
	s, err := t.Session(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	query := r.URL.Query()
	state := query.Get("state")
	if state != visible && state != hidden && state != gone {
		http.Error(w, "presence: the query parameter state is neither visible, hidden nor gone", http.StatusBadRequest)
		return
	}
	var n uint64
	if query.Has("n") {
		if n, err = strconv.ParseUint(query.Get("n"), 10, 64); err != nil {
			http.Error(w, "presence: the query parameter n is no number", http.StatusBadRequest)
			return
		}
	}
	t.say(s, state, n)
	w.WriteHeader(http.StatusNoContent)
}
