package locks

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// Guard returns a handler that calls next if the session that sends a request holds
// the lock, with the fence that the request names. So a user who has lost the lock
// cannot overwrite the work of its next holder.
//
// The function key returns the key of the lock that a request is about. The session
// is found by [presence.Tracker.Session]. The fence is sent either as a precondition,
// the header If-Match: "fence", or as the parameter "lock", in the URL or a form.
//
// Otherwise next is not called, and the response is 403 if the session's token is
// missing, forged or another user's; 400 if key returns an error; 428 (Precondition
// Required) without a fence; 412 (Precondition Failed) to a precondition, or 409
// (Conflict) to a parameter, if the session does not hold the lock, or holds it with
// another fence; and 503 if the process is cut off from the table's store.
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
			http.Error(w, "locks: no fence: send an If-Match header or the parameter lock", http.StatusPreconditionRequired)
			return
		}
		fence, err := strconv.ParseUint(text, 10, 64)
		if err == nil {
			err = t.Check(by, k, fence)
		}
		switch {
		case errors.Is(err, ErrCutOff):
			http.Error(w, "The server cannot check your lock at the moment. Nothing was saved; please try again.", http.StatusServiceUnavailable)
			return
		case err != nil:
			http.Error(w, "You no longer hold the lock. Nothing was saved.", refused)
			return
		}
		l, _ := t.Load(k)
		next(w, r, l)
	})
}
