package pglog_test

import (
	"context"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse"
	"example.org/sse/pglog"
)

// All browsers, at whichever process, get the event if the card has been moved.
func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	entries, err := pglog.Open(ctx, pool, "site", nil)
	if err != nil {
		log.Fatal(err)
	}
	hub := sse.Hub{Log: entries}
	defer hub.Close()
	board := hub.Set("board")

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE card SET list = 'done' WHERE id = $1", 7); err != nil {
			return err
		}
		return board.DispatchIn(ctx, entries.Tx(tx), "", sse.Event{Type: "moved", Data: "7"})
	})
	if err != nil {
		log.Print(err)
	}
}
