// Command pgnode is one process of a site that keeps its messages in a PostgreSQL database. Start
// any number of them with the same database.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse"
	"example.org/sse/pglog"
)

func main() {
	opening, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pool, err := pgxpool.New(opening, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	entries, err := pglog.Open(opening, pool, "site", nil)
	if err != nil {
		log.Fatal(err)
	}
	hub := sse.Hub{Log: entries, History: 10_000, HistoryBytes: 64 << 20}
	defer hub.Close()
	board := hub.Set("board")

	http.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if hub.WaitReady(ctx) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.Handle("GET /events", board)
	http.HandleFunc("POST /say", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		text := r.FormValue("text")
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO message (text) VALUES ($1)", text); err != nil {
				return err
			}
			return board.DispatchIn(ctx, entries.Tx(tx), "", sse.Event{Data: text})
		})
		switch {
		case errors.Is(err, sse.ErrInvalidEvent), errors.Is(err, sse.ErrTooLarge):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil: // rolled back, or the outcome of the commit is unknown
			log.Print(err)
			http.Error(w, "not saved, or not known", http.StatusServiceUnavailable)
		}
	})
	err = sse.ListenAndServe(context.Background(), &http.Server{Addr: os.Getenv("ADDR")})
	if err != nil {
		log.Print(err)
	}
}
