// Gzhttp compresses everything but streams, with github.com/klauspost/compress/gzhttp.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/klauspost/compress/gzhttp"

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
	// It would flush each event, too, but a compressed stream is not detached, and each
	// has a compressor of its own.
	compress, err := gzhttp.NewWrapper(gzhttp.ExceptContentTypes([]string{"text/event-stream"}))
	if err != nil {
		panic(err) // the options are invalid
	}
	return compress(app.Routes(news, model))
}
