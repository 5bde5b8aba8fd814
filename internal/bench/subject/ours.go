//go:build linux

package subject

import (
	"bufio"
	"net"
	"net/http"

	"example.org/sse"
)

// newSet returns a set without history, since the rivals keep none either.
func newSet() *sse.Set { return &sse.Set{History: -1} }

func dispatchTo(group *sse.Set) func(string) error {
	return func(data string) error {
		_, err := group.Dispatch("", data)
		return err
	}
}

// startDetached uses the listener whose streams leave their handlers.
func startDetached(l net.Listener) (Server, error) {
	group := newSet()
	return serve(sse.Listener(l), group, dispatchTo(group), nil), nil
}

// startAttached uses a plain listener, whose streams keep their handlers.
func startAttached(l net.Listener) (Server, error) {
	group := newSet()
	var handler http.Handler = group
	handler = attach(handler) // up to commit 524188a streams of every listener are detached
	return serve(l, handler, dispatchTo(group), nil), nil
}

func startH2C(l net.Listener) (Server, error) {
	group, protocols := newSet(), new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return serve(l, group, dispatchTo(group), protocols), nil
}

// attach keeps the handler's streams attached, whatever the listener.
func attach(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(kept{w}, r) })
}

// kept is a ResponseWriter whose connection cannot be taken over.
type kept struct{ http.ResponseWriter }

// Unwrap is for [http.ResponseController].
func (k kept) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// Hijack refuses.
func (kept) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }
