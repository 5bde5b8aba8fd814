// Command demo is a board that several people change at once, kept in step by
// server-sent events. The same board is served to pages made with htmx 4, with
// htmx 2, and with nothing but the browser's own EventSource.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/locks"
)

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "localhost:8080", "`address` to listen on")
	flag.StringVar(&c.db, "db", "board.db", "`file` that keeps the board")
	flag.StringVar(&c.scripts, "scripts", "node_modules", "`folder` where npm has put htmx")
	flag.StringVar(&c.nats, "nats", "", "be one node of several, which share the board over the NATS server with this `URL`;\nwith nodes: use this server, not one of its own")
	flag.StringVar(&c.node, "node", "A", "this node's `name`, if it is one of several")
	flag.StringVar(&c.nodes, "nodes", "", "start a node on each of these `addresses`, and serve them all at -addr;\nlocalhost:8081,localhost:8082,localhost:8083 for example")
	flag.Parse()
	do := run
	if c.nodes != "" {
		do = runNodes
	}
	if err := do(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A config is what the command line says.
type config struct {
	addr, db, scripts string
	nats, node, nodes string
}

// run serves the demo until it is told to stop.
func run(ctx context.Context, c config) (err error) {
	if err := checkScripts(c.scripts); err != nil {
		return err
	}
	board, err := openBoard(ctx, c.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, board.close()) }()

	key, err := board.key(ctx)
	if err != nil {
		return err
	}
	a := newApp(board, key, c.scripts)
	if c.nats != "" {
		leave, err := a.join(ctx, c.nats, c.node)
		if err != nil {
			return err
		}
		defer leave()
	}
	srv := &http.Server{
		Addr:              c.addr,
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second, // for pages; streams live longer
		BaseContext:       greet,            // once it listens: a port that is taken is an error and nothing else
	}
	stop := a.start(ctx)
	defer stop()
	return sse.ListenAndServe(ctx, srv)
}

// greet tells where to look.
func greet(l net.Listener) context.Context {
	fmt.Printf("Open %s in two windows. Ctrl-C stops.\n", urlOf(l))
	return context.Background()
}

// urlOf returns the URL of what a listener serves.
func urlOf(l net.Listener) string {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		host := "localhost"
		if !a.IP.IsLoopback() && !a.IP.IsUnspecified() {
			host = a.IP.String()
		}
		return "http://" + net.JoinHostPort(host, fmt.Sprint(a.Port))
	}
	return "http://" + l.Addr().String()
}

// An app is the whole of the demo but for its listener.
type app struct {
	board   *board
	locks   *locks.Table[int64] // of cards, by their IDs
	streams *streams
	people  *people
	machine *machine
	views   *views
	scripts string
}

// newApp takes the key that pages' tokens are signed with, see [presence.Tracker].
func newApp(board *board, key []byte, scripts string) *app {
	v := parseViews()
	a := &app{board: board, people: newPeople(v, key), machine: newMachine(v), views: v, scripts: scripts}
	a.locks = &locks.Table[int64]{Presence: &a.people.Tracker}
	a.streams = newStreams(a.board, a.locks, a.people, a.machine, v)
	return a
}

// start sets going what happens without a request. The function that it
// returns ends that, and waits for it.
func (a *app) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { a.people.tick(ctx) })
	running.Go(func() { a.machine.run(ctx, a.streams.tell) })
	running.Go(func() { a.streams.remind(ctx) })
	return func() {
		cancel()
		running.Wait()
		if err := errors.Join(a.locks.Close(), a.people.Close(), a.streams.shared.Close()); err != nil {
			log.Print(err) // the others find out by themselves, a little later
		}
	}
}

// handler routes the requests. What is posted from another site's pages is
// refused.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler("/htmx4", http.StatusSeeOther))
	mux.HandleFunc("GET /htmx4", a.page("htmx4.html"))
	mux.HandleFunc("GET /htmx2", a.page("htmx2.html"))
	mux.HandleFunc("GET /eventsource", a.page("eventsource.html"))

	mux.HandleFunc("GET /events", a.streams.serve(named))
	mux.HandleFunc("GET /events/htmx4", a.streams.serve(partials))
	mux.HandleFunc("GET /ready", a.ready)

	mux.HandleFunc("POST /cards/add", a.post(a.add))
	mux.HandleFunc("POST /cards/lock", a.lock)
	mux.Handle("POST /cards/edit", a.save())
	mux.HandleFunc("POST /cards/move", a.post(a.move))
	mux.HandleFunc("POST /cards/delete", a.post(a.delete))

	mux.Handle("/page.js", &a.people.Tracker)
	mux.Handle("GET /static/", http.FileServerFS(staticFiles))
	mux.HandleFunc("GET /scripts/{name}", a.script)
	return http.NewCrossOriginProtection().Handler(mux)
}
