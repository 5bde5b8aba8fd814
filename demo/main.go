// Command demo serves a board that several people change at once, kept in step
// by server-sent events. The same board is served to pages made with htmx 4, with
// htmx 2, and with an EventSource alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"example.org/sse/demo/board"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "`address` to listen on")
	db := flag.String("db", "board.db", "SQLite `file` of the board; created if it does not exist")
	postgres := flag.String("postgres", "", "`URL` of a PostgreSQL database for the board, instead of -db")
	scripts := flag.String("scripts", "node_modules", "`folder` in which npm has installed htmx")
	flag.Parse()
	if err := run(context.Background(), *addr, *db, *postgres, *scripts); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run serves the board until ctx is done or the process is interrupted.
func run(ctx context.Context, addr, db, postgres, scripts string) error {
	open := board.Open
	if postgres != "" {
		open = func(ctx context.Context, _, scripts string) (*board.App, error) {
			return board.OpenPostgres(ctx, postgres, "", scripts)
		}
	}
	app, err := open(ctx, db, scripts)
	if err != nil {
		return err
	}
	return errors.Join(app.ListenAndServe(ctx, addr), app.Close())
}
