// Llm streams the answers of a language model, which do not need their readers: a page
// that joins late, or is reloaded, gets the whole text, and everybody can stop it.
package main

import (
	"context"
	"crypto/rand"
	"embed"
	"flag"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse"
	"example.org/sse/examples/internal/app"
	"example.org/sse/natslog"
)

//go:embed page.html
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	broker := flag.String("nats", "", "URL of a NATS server with JetStream, for several processes")
	flag.Parse()
	answers := newHub()
	if *broker != "" {
		nc, err := nats.Connect(*broker, natslog.ConnOptions()...)
		if err != nil {
			log.Fatal(err)
		}
		if answers.Log, err = natslog.Open(context.Background(), nc, "answers", nil); err != nil {
			log.Fatal(err)
		}
	}
	srv := &http.Server{Addr: *addr, Handler: routes(answers, app.Parrot)}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		log.Fatal(err)
	}
}

// newHub returns a hub with a set for each answer. Its history is long enough for all
// answers of an hour, each to its end.
func newHub() *sse.Hub {
	return &sse.Hub{
		History: 1 << 20, HistoryBytes: 256 << 20, HistoryAge: time.Hour,
		NewSet: func(_ string, s *sse.Set) { s.Replay = true },
	}
}

func routes(answers *sse.Hub, model app.Model) http.Handler {
	var running sync.Map // from the answer's id to a context.CancelFunc
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "page.html") }
	mux.HandleFunc("GET /{$}", show)
	mux.HandleFunc("GET /{id}", show)
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		id, prompt := rand.Text(), r.FormValue("prompt")
		ctx, stop := context.WithCancel(context.Background()) // not the request's
		running.Store(id, stop)
		go func() {
			defer stop()
			defer running.Delete(id)
			answer(ctx, answers.Set(id), model, prompt)
		}()
		http.Redirect(w, r, "/"+id, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /{id}/stop", func(w http.ResponseWriter, r *http.Request) {
		if stop, ok := running.Load(r.PathValue("id")); ok { // else another process has it, or it has ended
			stop.(context.CancelFunc)()
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /{id}/events", func(w http.ResponseWriter, r *http.Request) {
		answers.Set(r.PathValue("id")).ServeHTTP(w, r)
	})
	return mux
}

// answer dispatches the words of an answer, and then an event by which every reader,
// the late ones too, knows that it has all of it.
func answer(ctx context.Context, set *sse.Set, model app.Model, prompt string) {
	for word := range model(ctx, prompt) {
		if _, err := set.Dispatch("", word+" "); err != nil {
			log.Print(err) // the log does not take it: there is no way to go on
			return
		}
	}
	end := "done"
	if ctx.Err() != nil {
		end = "stopped"
	}
	set.Dispatch("end", end)
}
