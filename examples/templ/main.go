// Templ is a poll whose result everybody sees at once, with templ, chi and htmx 4: a button
// votes, and a stream swaps the result in all pages.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"strconv"
	"sync"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"example.org/sse"
)

//go:generate go tool templ generate -log-level warn

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	scripts := flag.String("scripts", "node_modules", "folder with the npm package htmx.org")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(*scripts)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

type option struct {
	Name  string
	Votes int
}

func total(options []option) (votes int) {
	for _, o := range options {
		votes += o.Votes
	}
	return votes
}

// A poll is what people vote on. A real one is in a database.
type poll struct {
	mu      sync.Mutex
	options []option
	pages   sse.Set
}

// vote counts a vote, and sends the result to all pages in the order of the votes.
func (p *poll) vote(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, err := strconv.Atoi(chi.URLParam(r, "option"))
	if err != nil || i < 0 || i >= len(p.options) {
		http.NotFound(w, r)
		return
	}
	p.options[i].Votes++
	data, err := sse.Component(r.Context(), result(p.options))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.pages.Dispatch("", data)
	w.WriteHeader(http.StatusNoContent) // the stream brings the result
}

func (p *poll) snapshot(source *sse.EventSource) ([]sse.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := sse.Component(source.Context(), result(p.options))
	return []sse.Event{{Data: data}}, err
}

func routes(scripts string) http.Handler {
	p := poll{options: []option{{Name: "Tabs"}, {Name: "Spaces"}}}
	p.pages.Snapshot = p.snapshot // for a new page, and one that was away for too long
	r := chi.NewRouter()
	r.Method(http.MethodGet, "/", templ.Handler(page()))
	r.Method(http.MethodGet, "/events", &p.pages)
	r.Post("/votes/{option}", p.vote)
	r.Handle("/scripts/*", http.StripPrefix("/scripts", http.FileServer(http.Dir(scripts))))
	return r
}
