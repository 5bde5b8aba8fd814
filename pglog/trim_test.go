package pglog_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// age makes entries that are added from now on older than they are: after five seconds they
// are no longer needed for their ids.
func (d *database) age() {
	d.t.Helper()
	d.exec("ALTER TABLE " + quoted(d.schema) + ".entry ALTER at SET DEFAULT clock_timestamp() - interval '2 minutes 55 seconds'")
}

// value returns the result of an administrator's query.
func (d *database) value(sql string) (n int) {
	d.t.Helper()
	admin := d.pool()
	defer admin.Close()
	if err := admin.QueryRow(d.t.Context(), sql).Scan(&n); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// trims appends entries to a log, and waits until those that are not kept have been deleted.
func (d *database) trims(pool *pgxpool.Pool) {
	d.t.Helper()
	d.exec("ALTER TABLE " + quoted(d.schema) + ".entry ALTER at SET DEFAULT clock_timestamp() - interval '1 hour'")
	l := openLog(d.t, pool, "trimmed", d.options(&pglog.Options{History: 10}))
	for _, text := range probe.Numbered("e", 1000) {
		probe.Append(d.t, l, text)
	}
	until(d.t, "the old entries are deleted", func() bool {
		return d.value("SELECT count(*) FROM "+quoted(d.schema)+".entry e JOIN "+quoted(d.schema)+".log l ON l.id = log WHERE name = 'trimmed'") <= 510
	})
}

// Entries beyond the history go, but not for as long as their ids must be recognized.
func TestTrimming(t *testing.T) {
	t.Parallel()
	d := start(t)
	l := d.log("log", &pglog.Options{History: 100})
	for _, text := range probe.Numbered("young ", 1200) {
		probe.Append(t, l, text)
	}
	if n := d.value("SELECT count(*) FROM " + quoted(d.schema) + ".entry"); n != 1200 {
		t.Errorf("got %d entries, want 1200: their ids must be recognized", n)
	}
	if c := probe.Append(t, l, "young 1"); c.Seq != 1 {
		t.Errorf("a repeated id: got number %d, want 1", c.Seq)
	}
	d.exec("UPDATE " + quoted(d.schema) + ".entry SET at = at - interval '1 hour'")
	for _, text := range probe.Numbered("old ", 500) {
		probe.Append(t, l, text)
	}
	until(t, "the old entries are deleted", func() bool { return d.value("SELECT min(seq) FROM "+quoted(d.schema)+".entry") == 1201 })
	f := probe.Follow(t, l, backplane.Oldest)
	f.Has(probe.Numbered("old ", 500)[400:]...)
}

// A history that is limited by bytes keeps the newest entries that fit.
func TestHistoryBytes(t *testing.T) {
	t.Parallel()
	d := start(t)
	l := d.log("log", &pglog.Options{HistoryBytes: 1000})
	first := probe.Append(t, l, "first")
	for i := range 30 {
		if _, err := l.Append(t.Context(), fmt.Sprint(i), make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	f := probe.Follow(t, l, backplane.Oldest)
	if n := len(f.Texts()); n != 10 {
		t.Errorf("got %d entries, want 10", n)
	}
	if _, err := probe.Read(t, l, first, 1); err == nil {
		t.Error("from an entry that is no longer kept: got no error")
	}
	large := d.log("large", &pglog.Options{HistoryBytes: 10})
	probe.Append(t, large, "small", "larger than ten bytes")
	probe.Follow(t, large, backplane.Oldest).Has("larger than ten bytes")
}

// Under load the tables stay as large as what they keep: autovacuum keeps up with the rows
// that are deleted, although a report reads for some of the time.
func TestSizeIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it loads the machine for a minute")
	}
	d := startServer(t, "autovacuum_naptime=1", "fsync=off")
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(&pglog.Options{History: 1000}))
	d.age()
	probe.Follow(t, l, backplane.Oldest)
	for _, table := range []string{"entry", "outbox", "log"} { // as a table that has been large for longer has it
		d.exec("ALTER TABLE " + quoted(d.schema) + "." + table + " SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)")
	}
	end := time.Now().Add(loadTime)
	var appended atomic.Int64
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				text := fmt.Sprint(w, "-", i)
				if w%2 == 0 {
					probe.Append(t, l, text)
					appended.Add(1)
				} else if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return l.Tx(tx).Put(t.Context(), text, []byte(text)) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	size := func() int {
		return d.value("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname = '" + d.schema + "'")
	}
	var sizes []int
	for i := range 6 {
		time.Sleep(loadTime / 6) // under load
		sizes = append(sizes, size())
		t.Logf("after %v: %d KiB, %d entries so far", loadTime/6*time.Duration(i+1), sizes[i]/1024, d.value("SELECT head FROM "+quoted(d.schema)+".log"))
	}
	wg.Wait()
	// With plans that were made while the outbox was empty it was 0.2 %.
	if all := d.value("SELECT head FROM " + quoted(d.schema) + ".log"); appended.Load() < int64(all/200) {
		t.Errorf("%d of %d entries are of Append, want more than 0.5 %%: it waits for the outbox", appended.Load(), all)
	}
	t.Logf("%d entries of Append", appended.Load())
	if sizes[5] > sizes[2]*3/2 {
		t.Errorf("got %d bytes at half of the time and %d at the end", sizes[2], sizes[5])
	}
}
