package locks

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// Guard returns a handler that lets a request through to next if the lock that
// it names is held by the session that sends it, with the fence that it
// names: a lock that was lost cannot overwrite what its next holder has made.
//
// Key returns the key of the lock that a request is about. The session is what
// [presence.Tracker.Session] finds. The fence is either a precondition, the
// header If-Match: "fence", or the parameter "lock", in the URL or a form.
//
// Otherwise the answer is 403 if the session is forged or another user's; 400
// if key returns an error; 428 (Precondition Required) without a fence; and if
// the lock is not held, or with another fence, 412 (Precondition Failed) to a
// precondition and 409 (Conflict) to a parameter; 503 if the process is cut off
// from the table's store. Then next is not called.
func (t *Table[K]) Guard(key func(*http.Request) (K, error), next func(http.ResponseWriter, *http.Request, Lock[K])) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		by, err := t.Presence.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		k, err := key(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, refused := strings.Trim(r.Header.Get("If-Match"), `"`), http.StatusPreconditionFailed
		if text == "" {
			text, refused = r.FormValue("lock"), http.StatusConflict
		}
		if text == "" {
			http.Error(w, "The lock's fence is missing: an If-Match header, or the parameter lock.", http.StatusPreconditionRequired)
			return
		}
		fence, err := strconv.ParseUint(text, 10, 64)
		if err == nil {
			err = t.Check(by, k, fence)
		}
		switch {
		case errors.Is(err, ErrCutOff):
			http.Error(w, "This server cannot tell at the moment whether you hold the lock. Nothing was saved; please try again.", http.StatusServiceUnavailable)
			return
		case err != nil:
			http.Error(w, "You do not hold the lock any more. Nothing was saved.", refused)
			return
		}
		l, _ := t.Load(k)
		next(w, r, l)
	})
}
