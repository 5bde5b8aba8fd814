package locks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/presence"
)

const (
	maxRequest     = 64 << 10        // bytes of a request's body
	requestTimeout = 8 * time.Second // a bit less than servers give a handler
)

// Handler returns a handler by which pages take and release locks:
//
//	http.Handle("POST /locks", cards.Handler(cardID))
//
//	fetch("/locks?action=take&card=7", {method: "POST", headers: {"Page-Token": token}})
//
// The function key returns the key of the lock that a request is about. The session is
// found by [presence.Tracker.Session]. The parameter action, in the URL or a form, is one
// of take, queue, steal, release and renew, as the methods of those names; steal has the
// parameter reason.
//
// The response is the lock as JSON, as in [Table.Add], and not HTML that htmx could swap in.
// With status 200 the session holds the lock, waits for it, or has released it. Otherwise the
// member error says what is wrong, and message is a text for developers:
//
//	400  "key"          key returned an error, or the key is invalid
//	400  "action"       unknown, or the form cannot be parsed
//	403  "token"        the session's token is missing, forged or another user's
//	405  "method"       not a POST
//	409  "held"         by another session: take
//	409  "not-held"     by the session: release, renew
//	409  "absent"       the session has no stream
//	409  "queue-full"
//	413  "too-large"    the body has more than 64 KiB
//	503  "unavailable"  the store does not answer, within 8 s: try again
func (t *Table[K]) Handler(key func(*http.Request) (K, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.init()
		l, err := t.serveAction(w, r, key)
		status, code := statusOf(err)
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		answer := struct {
			Error   string `json:"error,omitempty"`
			Message string `json:"message,omitempty"`
			*Lock[K]
		}{Error: code, Lock: l}
		if err != nil {
			answer.Message = err.Error()
		}
		if status == http.StatusServiceUnavailable {
			slog.Warn("locks: request failed", "error", err)
			answer.Message = "the store does not answer; try again"
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // fails if the client is gone
	})
}

// Errors of requests.
var (
	errMethod = errors.New("locks: the method must be POST")
	errAction = errors.New("locks: the parameter action must be take, queue, steal, release or renew")
)

// statusOf returns the status that stands for an error, and the name of the error.
func statusOf(err error) (status int, name string) {
	for _, known := range []struct {
		err    error
		status int
		name   string
	}{
		{nil, http.StatusOK, ""},
		{errMethod, http.StatusMethodNotAllowed, "method"},
		{presence.ErrInvalidToken, http.StatusForbidden, "token"},
		{errAction, http.StatusBadRequest, "action"},
		{ErrInvalidKey, http.StatusBadRequest, "key"},
		{ErrHeld, http.StatusConflict, "held"},
		{ErrNotHeld, http.StatusConflict, "not-held"},
		{ErrAbsent, http.StatusConflict, "absent"},
		{ErrQueueFull, http.StatusConflict, "queue-full"},
	} {
		if errors.Is(err, known.err) {
			return known.status, known.name
		}
	}
	if errors.As(err, new(*http.MaxBytesError)) {
		return http.StatusRequestEntityTooLarge, "too-large"
	}
	return http.StatusServiceUnavailable, "unavailable"
}

// serveAction does what a request asks for. It returns the lock, or nil if the request is
// invalid.
func (t *Table[K]) serveAction(w http.ResponseWriter, r *http.Request, key func(*http.Request) (K, error)) (*Lock[K], error) {
	if r.Method != http.MethodPost {
		return nil, errMethod
	}
	by, err := t.Presence.Session(r)
	if err != nil {
		return nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	if err = r.ParseForm(); err == nil {
		err = r.ParseMultipartForm(maxRequest)
	}
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, err
	} else if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, fmt.Errorf("%w: %w", errAction, err)
	}
	k, err := key(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidKey, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	var l Lock[K]
	switch r.FormValue("action") {
	case "take":
		l, err = t.Take(ctx, by, k)
	case "queue":
		l, err = t.Queue(ctx, by, k)
	case "steal":
		l, err = t.Steal(ctx, by, k, r.FormValue("reason"))
	case "release":
		l, err = t.Release(ctx, by, k)
	case "renew":
		l, err = t.Renew(ctx, by, k)
	default:
		return nil, errAction
	}
	if errors.Is(err, ErrInvalidKey) {
		return nil, err
	}
	if errors.Is(err, backplane.ErrIndeterminate) {
		return nil, err // the lock is what it was, or not
	}
	return &l, err
}
