// Scs streams to the user of a session, with github.com/alexedwards/scs.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/alexedwards/scs/v2"

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
	sessions := scs.New()
	var users sse.Map[string]
	mux := http.NewServeMux()
	mux.Handle("/", app.Routes(news, model))
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "user", r.FormValue("user"))
	})
	mux.HandleFunc("GET /mine", func(w http.ResponseWriter, r *http.Request) {
		// Everything about the session comes first: its cookie is sent with the head
		// of the stream, and what changes later is not stored.
		user := sessions.GetString(r.Context(), "user")
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			users.Store(source, user)
			source.Dispatch("", "hello, "+user)
		})
	})
	mux.HandleFunc("POST /tell", func(_ http.ResponseWriter, r *http.Request) {
		to, text := r.FormValue("user"), r.FormValue("text")
		users.DispatchFunc(func(_ *sse.EventSource, user string) (sse.Event, bool) {
			return sse.Event{Data: text}, user == to
		})
	})
	return sessions.LoadAndSave(mux)
}
