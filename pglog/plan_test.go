package pglog_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
)

// Numbering goes through keys: it does not read the whole log while there are no statistics.
func TestNumberingWithoutStatistics(t *testing.T) {
	if testing.Short() {
		t.Skip("it loads the machine")
	}
	t.Parallel()
	d := startServer(t, "autovacuum=off", "fsync=off")
	l := d.log("log", nil)
	schema := quoted(d.schema)
	d.exec("INSERT INTO " + schema + ".entry (log, seq, id, total, data) SELECT l.id, n, gen_random_uuid(), n, 'x' FROM " + schema + ".log l, generate_series(1, 100000) n")
	d.exec("UPDATE " + schema + ".log SET head = 100000, total = 100000")
	d.exec("INSERT INTO " + schema + ".outbox (log, id, data) SELECT l.id, gen_random_uuid(), 'x' FROM " + schema + ".log l, generate_series(1, 1000)")
	probe.Prompt(t, time.Second, "numbering 1000 entries", func() time.Duration {
		began := time.Now()
		if err := l.Flush(probe.Within(t, probe.Patience)); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	})
}

// A look for new entries does not pass over those that were numbered, although an old snapshot
// keeps their rows.
func TestOldSnapshot(t *testing.T) {
	if testing.Short() {
		t.Skip("it loads the machine")
	}
	t.Parallel()
	d := startServer(t, "fsync=off")
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	report := begin(t, d.pool(), pgx.RepeatableRead)
	if _, err := report.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	schema := quoted(d.schema)
	for range 15 {
		d.exec("INSERT INTO " + schema + ".outbox (log, id, data) SELECT l.id, gen_random_uuid(), 'x' FROM " + schema + ".log l, generate_series(1, 5000)")
		if err := l.Flush(probe.Within(t, probe.Patience)); err != nil {
			t.Fatal(err)
		}
	}
	probe.Follow(t, l, backplane.Newest)
	probe.Prompt(t, 10*time.Millisecond, "a look without new entries", func() time.Duration {
		began := time.Now()
		if err := l.Flush(probe.Within(t, probe.Patience)); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	})
}
