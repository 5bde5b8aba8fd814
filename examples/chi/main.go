// Chi serves streams with github.com/go-chi/chi, behind its middleware.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(new(sse.Set), app.Parrot, 10*time.Second)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

func routes(news *sse.Set, model app.Model, timeout time.Duration) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)
	r.Use(middleware.Compress(5)) // text/event-stream is not among the types that it compresses
	r.Method(http.MethodGet, "/news", news)
	r.Get("/answer", func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, nil)
		if err != nil {
			return // the request has been answered
		}
		defer source.Close()
		for word := range model(source.Context(), r.FormValue("prompt")) {
			if source.Dispatch("", word) != nil {
				return // the client left
			}
		}
		source.Dispatch("done", "")
	})
	r.Group(func(r chi.Router) {
		r.Use(middleware.Timeout(timeout)) // cancels requests, so no stream is in this group
		r.Post("/news", func(_ http.ResponseWriter, r *http.Request) {
			news.Dispatch("", r.FormValue("text"))
		})
	})
	return r
}
