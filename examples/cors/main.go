// Cors serves streams to pages of another origin, with github.com/rs/cors. Such a page
// sends cookies if it asks for that:
//
//	new EventSource("https://api.example.org/news", {withCredentials: true})
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/rs/cors"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	flag.Parse()
	srv := &http.Server{Addr: *addr, Handler: routes(new(sse.Set), app.Parrot)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

func routes(news *sse.Set, model app.Model) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins:   []string{"https://example.org"}, // with credentials not "*"
		AllowCredentials: true,
		// A script that reconnects by itself, with fetch, sends it; some values of it
		// make a browser ask before an EventSource does.
		AllowedHeaders: []string{"Last-Event-ID"},
	}).Handler(app.Routes(news, model))
}
