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

// startDetached uses a set as the handler. Where the library can, it takes the
// connections over.
func startDetached(l net.Listener) (Server, error) {
	group := newSet()
	s := serve(l, group, dispatchTo(group))
	s.drained = func() bool { return group.Len() == 0 }
	return s, nil
}

// startAttached has a middleware between, so that the streams stay with their
// handlers.
func startAttached(l net.Listener) (Server, error) {
	group := newSet()
	handler := func(w http.ResponseWriter, r *http.Request) { group.ServeHTTP(kept{w}, r) }
	return serve(l, http.HandlerFunc(handler), dispatchTo(group)), nil
}

func startH2C(l net.Listener) (Server, error) {
	group := newSet()
	s := &hosted{dispatch: dispatchTo(group)}
	s.Handler = group
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.start(l)
	return s, nil
}

// kept is a ResponseWriter whose connection cannot be taken over.
type kept struct{ http.ResponseWriter }

// Unwrap is for [http.ResponseController].
func (k kept) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// Hijack refuses.
func (kept) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }
