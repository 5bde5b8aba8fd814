// Command node is one of the processes of a site: start as many as you like, on
// the same NATS servers, and let a proxy deal requests to them.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse"
	"example.org/sse/natslog"
)

// notice is how long the proxy takes to see that /ready fails.
const notice = 5 * time.Second

func main() {
	nc, err := nats.Connect(os.Getenv("NATS"), natslog.ConnOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	opening, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	entries, err := natslog.Open(opening, nc, "site", nil)
	if err != nil {
		log.Fatal(err)
	}
	hub := sse.Hub{Log: entries, History: 10_000, HistoryBytes: 64 << 20}
	defer hub.Close()
	board := hub.Set("board")

	leaving, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	http.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if leaving.Err() != nil || hub.WaitReady(ctx) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.Handle("GET /events", board)
	http.HandleFunc("POST /say", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second) // longer than an election
		defer cancel()
		_, err := board.DispatchOnce(ctx, r.FormValue("key"), sse.Event{Data: r.FormValue("text")})
		switch {
		case errors.Is(err, sse.ErrInvalidEvent), errors.Is(err, sse.ErrTooLarge):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil: // it was not taken, or that is not known
			http.Error(w, "please send it again, with the same key", http.StatusServiceUnavailable)
		}
	})

	srv := &http.Server{Addr: os.Getenv("ADDR")}
	go func() {
		if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-leaving.Done()
	time.Sleep(notice) // no new clients come any more
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := sse.Shutdown(grace, srv); err != nil {
		log.Print(err)
	}
}
