package pglog_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// child makes the test's program a process that writes until it is killed.
const child = "PGLOG_TEST_CHILD"

// A process that is killed leaves nothing half done, and keeps nobody waiting: what it has
// committed is seen by the others, although nobody else commits.
func TestProcessDies(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills processes")
	}
	t.Parallel()
	d := start(t)
	w := newWriters(d)
	f := probe.Follow(t, d.log("log", nil), backplane.Oldest)
	for round := range 3 {
		var acknowledged []string
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+d.url, "SCHEMA="+d.schema, "TABLE="+w.table, fmt.Sprint("NAME=c", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for len(acknowledged) < 50 && lines.Scan() {
			acknowledged = append(acknowledged, lines.Text())
		}
		cmd.Process.Kill()
		for lines.Scan() { // what it had written before
			acknowledged = append(acknowledged, lines.Text())
		}
		cmd.Wait()
		for _, text := range acknowledged {
			if strings.Contains(text, "-append-") {
				w.appended = append(w.appended, text)
			}
		}
		if len(acknowledged) < 50 {
			t.Fatalf("the process wrote %d entries", len(acknowledged))
		}
	}
	w.finish(f)
}

// writeUntilKilled is what the process does.
func writeUntilKilled(url string) {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	l, err := pglog.Open(ctx, pool, "log", &pglog.Options{Schema: os.Getenv("SCHEMA")})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for i := 0; ; i++ {
			text := fmt.Sprint(os.Getenv("NAME"), "-append-", i)
			if _, err := l.Append(ctx, text, []byte(text)); err != nil {
				log.Fatal(err)
			}
			fmt.Println(text)
		}
	}()
	for i := 0; ; i++ {
		text := fmt.Sprint(os.Getenv("NAME"), "-tx-", i)
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO "+os.Getenv("TABLE")+" VALUES ($1)", text); err != nil {
				return err
			}
			return l.Tx(tx).Put(ctx, text, []byte(text))
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(text)
	}
}
