package locks

import (
	"errors"
	"net/http"
	"strconv"
)

// Guard returns a handler that calls next if the session that sends a request holds
// the lock, with the fence that the request names. So a user who has lost the lock
// cannot overwrite the work of its next holder. Next is passed the lock that was looked
// at: its holder is the session, and its fence the request's.
//
// The function key returns the key of the lock that a request is about. The session
// is found by [presence.Tracker.Session]. The fence is sent in the header Lock-Fence or as
// the parameter "fence", in the URL or a form. To limit the size of a form, read it in key.
//
// Otherwise next is not called, and the response is 403 if the session's token is
// missing, forged or another user's; 400 if key returns an error; 428 (Precondition
// Required) without a fence; 409 (Conflict) if the session does not hold the lock, or
// holds it with another fence; and 503 if the process cannot know, see [Table.Check].
func (t *Table[K]) Guard(key func(*http.Request) (K, error), next func(http.ResponseWriter, *http.Request, Lock[K])) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.init()
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
		text := r.Header.Get("Lock-Fence")
		if text == "" {
			text = r.FormValue("fence")
		}
		if text == "" {
			http.Error(w, "locks: no fence: send a Lock-Fence header or the parameter fence", http.StatusPreconditionRequired)
			return
		}
		fence, err := strconv.ParseUint(text, 10, 64)
		var l Lock[K]
		if err == nil {
			l, err = t.check(r.Context(), by, k, fence)
		}
		switch {
		case errors.Is(err, ErrCutOff):
			http.Error(w, "The server cannot check your lock at the moment. Nothing was saved; please try again.", http.StatusServiceUnavailable)
		case errors.Is(err, ErrInvalidKey):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, "You no longer hold the lock. Nothing was saved.", http.StatusConflict)
		default:
			next(w, r, l)
		}
	})
}
