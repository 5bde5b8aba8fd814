// Package board is the demo without a command line: a board that several people
// change at once, its pages, and their streams. Command demo serves it as one
// process, command nodes as several.
package board

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
)

// An App serves a board. It is used by [App.ListenAndServe].
type App struct {
	store   *store
	locks   *locks.Table[int64] // of cards, by their IDs
	streams *streams
	people  *people
	machine *machine
	views   *views
	scripts string
}

// Open opens the board in a SQLite file, which it creates if it does not exist.
// Scripts is the folder in which npm has installed htmx.
func Open(ctx context.Context, db, scripts string) (*App, error) {
	if err := checkScripts(scripts); err != nil {
		return nil, err
	}
	s, err := openStore(ctx, db)
	if err != nil {
		return nil, err
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return newApp(s, key, scripts), nil
}

// newApp returns an App whose page tokens are signed with key; see [presence.Tracker].
func newApp(s *store, key []byte, scripts string) *App {
	v := parseViews()
	a := &App{store: s, people: newPeople(v, key), machine: newMachine(v), views: v, scripts: scripts}
	a.locks = &locks.Table[int64]{Presence: &a.people.Tracker}
	a.streams = newStreams(a.store, a.locks, a.people, a.machine, v)
	return a
}

// Share makes this process one of several nodes that serve the board together.
// It must be called before [App.ListenAndServe]. All nodes need the same log and
// store, and the same SQLite file, which also has the key of the page tokens.
//
// Nothing else differs between one process and several.
func (a *App) Share(node string, l backplane.Log, s backplane.Store) {
	a.streams.node = node
	a.streams.shared.Log = l        // the board: sent to the pages of all nodes, in one order
	a.people.Store = s              // the people who are here, and the cards that are being edited
	a.locks.Hub = &a.streams.shared // pages get a saved card before they see its lock free
}

// ListenAndServe serves the board until ctx is done or the process gets a SIGTERM
// or an interrupt. It prints the board's URL when it listens.
func (a *App) ListenAndServe(ctx context.Context, addr string) error {
	srv := &http.Server{
		Addr:              addr,
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second, // for pages; streams have deadlines of their own
		BaseContext: func(l net.Listener) context.Context { // called when it listens, not if the port is taken
			fmt.Printf("Open %s in two windows. Ctrl-C stops.\n", URL(l))
			return context.Background()
		},
	}
	stop := a.start(ctx)
	defer stop()
	return sse.ListenAndServe(ctx, srv)
}

// Close closes the SQLite file. It must be called after [App.ListenAndServe] has
// returned.
func (a *App) Close() error { return a.store.close() }

// URL returns the URL of a server with the listener.
func URL(l net.Listener) string {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		host := "localhost"
		if !a.IP.IsLoopback() && !a.IP.IsUnspecified() {
			host = a.IP.String()
		}
		return "http://" + net.JoinHostPort(host, fmt.Sprint(a.Port))
	}
	return "http://" + l.Addr().String()
}

// start starts the clock, the charts, and retries. The function that it returns stops
// them, and waits until they have stopped.
func (a *App) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { a.people.runClock(ctx) })
	running.Go(func() { a.machine.run(ctx, a.streams.send) })
	running.Go(func() { a.streams.retry(ctx) })
	return func() {
		cancel()
		running.Wait()
		if err := errors.Join(a.locks.Close(), a.people.Close(), a.streams.shared.Close()); err != nil {
			log.Printf("closing: %v", err) // other nodes notice when the lease expires
		}
	}
}

// handler routes the requests. Posts from other sites' pages are refused.
func (a *App) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler("/htmx4", http.StatusSeeOther))
	mux.HandleFunc("GET /htmx4", a.page("htmx4.html"))
	mux.HandleFunc("GET /htmx2", a.page("htmx2.html"))
	mux.HandleFunc("GET /eventsource", a.page("eventsource.html"))

	mux.HandleFunc("GET /events", a.streams.serve(named))
	mux.HandleFunc("GET /events/htmx4", a.streams.serve(partials))
	mux.HandleFunc("GET /ready", a.ready)

	mux.HandleFunc("POST /cards/add", a.post(a.add))
	mux.HandleFunc("GET /cards/{id}", a.text)
	mux.Handle("POST /cards/lock", a.locks.Handler(a.lockable))
	mux.Handle("POST /cards/edit", a.save())
	mux.HandleFunc("POST /cards/move", a.post(a.move))
	mux.HandleFunc("POST /cards/delete", a.post(a.delete))

	mux.Handle("/page.js", &a.people.Tracker)
	mux.Handle("GET /static/", http.FileServerFS(staticFiles))
	mux.HandleFunc("GET /scripts/{name}", a.script)
	return http.NewCrossOriginProtection().Handler(mux)
}

// ready answers 204 if this node can serve pages that another one has served: it
// must have the events that they may have missed. A process without a log is
// always ready.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := a.streams.shared.WaitReady(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
