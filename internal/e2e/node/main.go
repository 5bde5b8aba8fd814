// Command node is one process of a site. Start any number of them with the same NATS
// servers, behind a proxy.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse"
	"example.org/sse/natslog"
)

// notice is how long the proxy takes to notice that /ready fails.
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
		case err != nil: // not accepted, or unknown
			http.Error(w, "please send it again, with the same key", http.StatusServiceUnavailable)
		}
	})

	l, err := net.Listen("tcp", os.Getenv("ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	srv := new(http.Server)
	go func() {
		if err := srv.Serve(sse.Listener(l)); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-leaving.Done()
	time.Sleep(notice) // then no new clients connect
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		log.Print(err)
	}
}
