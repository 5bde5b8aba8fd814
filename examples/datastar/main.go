// Datastar is a counter that all pages share, with https://data-star.dev: an event has
// the element to swap in.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"log"
	"net/http"
	"sync"

	"example.org/sse"
)

//go:embed page.html
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	scripts := flag.String("scripts", "node_modules", "folder with the npm package @starfederation/datastar")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(*scripts)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

// A counter counts clicks.
type counter struct {
	mu    sync.Mutex
	n     int
	pages sse.Set
}

// event returns the counter as an event of Datastar 1.0.0-beta.11: each line of data has
// a name, and the lines of HTML have the name "fragments".
func (c *counter) event() sse.Event {
	return sse.Event{Type: "datastar-merge-fragments", Data: fmt.Sprintf("fragments <b id=\"count\">%d</b>", c.n)}
}

func routes(scripts string) http.Handler {
	var c counter
	c.pages.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return []sse.Event{c.event()}, nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") })
	mux.Handle("GET /events", &c.pages)
	mux.HandleFunc("POST /click", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n++
		c.pages.DispatchEvent(c.event())
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("GET /scripts/", http.StripPrefix("/scripts", http.FileServer(http.Dir(scripts))))
	return mux
}
