package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// writers write to a log as several processes do: half of what they write is in transactions,
// a third of which are rolled back. A table that the transactions change as well says what was
// committed, even if its answer was lost.
type writers struct {
	d     *database
	table string

	mu       sync.Mutex
	appended []string        // that Append has acknowledged
	unknown  map[string]bool // that it has not
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// newWriters makes the table.
func newWriters(d *database) *writers {
	d.log("log", nil) // makes the schema
	w := &writers{d: d, table: pgx.Identifier{d.schema, "change"}.Sanitize(), unknown: make(map[string]bool)}
	w.ctx, w.stop = context.WithCancel(context.WithoutCancel(d.t.Context()))
	d.t.Cleanup(func() { w.stop(); w.wg.Wait() })
	d.exec("CREATE TABLE " + w.table + " (text text PRIMARY KEY)")
	return w
}

// start starts two writers, one of which uses transactions.
func (w *writers) start(name string, pool *pgxpool.Pool, l *pglog.Log) {
	w.wg.Go(func() { w.each(name+"-append-", func(text string) { w.append(l, text) }) })
	w.wg.Go(func() { w.each(name+"-tx-", func(text string) { w.transact(pool, l, text) }) })
}

func (w *writers) each(prefix string, write func(text string)) {
	for i := 0; w.ctx.Err() == nil; i++ {
		write(fmt.Sprint(prefix, i))
	}
}

func (w *writers) append(l *pglog.Log, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), probe.Patience)
	defer cancel()
	_, err := l.Append(ctx, text, []byte(text))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.appended = append(w.appended, text)
	} else if w.unknown[text] = true; !errors.Is(err, backplane.ErrIndeterminate) {
		w.d.t.Errorf("append %s: %v", text, err)
	}
}

func (w *writers) transact(pool *pgxpool.Pool, l *pglog.Log, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
	defer cancel()
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO "+w.table+" VALUES ($1)", text); err != nil {
			return err
		}
		if err := l.Tx(tx).Put(ctx, text, []byte(text)); err != nil {
			return err
		}
		time.Sleep(rand.N(20 * time.Millisecond)) // transactions have any length
		if rand.IntN(3) == 0 {
			return errRollback
		}
		return nil
	})
	if err != nil {
		time.Sleep(5 * time.Millisecond) // the server may be away
	}
}

// finish stops the writers and compares what all followers have with what was committed.
func (w *writers) finish(followers ...*probe.Follower) {
	t := w.d.t
	t.Helper()
	w.stop()
	w.wg.Wait()
	l := w.d.log("log", nil)
	if err := l.Flush(probe.Within(t, probe.Patience)); err != nil {
		t.Fatal(err)
	}
	last := probe.Append(t, l, "the last")
	rows, err := w.d.pool().Query(t.Context(), "SELECT text FROM "+w.table)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	got := followers[0].Reach(int(last.Seq))
	if n := len(got); uint64(n) != last.Seq || got[n-1] != "the last" {
		t.Fatalf("a follower got %d entries; the last has number %d", n, last.Seq)
	}
	for _, f := range followers[1:] {
		f.Has(got...)
	}
	w.compare(got, committed)
	t.Logf("%d entries: %d of transactions, %d of Append, %d unknown", len(got), len(committed), len(w.appended), len(w.unknown))
}

// compare compares what followers got with what was committed.
func (w *writers) compare(got, committed []string) {
	t := w.d.t
	t.Helper()
	if n := len(slices.Compact(slices.Sorted(slices.Values(got)))); n != len(got) {
		t.Errorf("got %d entries, %d of them twice", len(got), len(got)-n)
	}
	index := make(map[string]int)
	for i, text := range got {
		index[text] = i
	}
	for _, text := range slices.Concat(committed, w.appended) {
		if _, ok := index[text]; !ok {
			t.Errorf("%s was committed, and lost", text)
		}
	}
	next := make(map[string]int)
	for _, text := range got {
		caller, kind, _ := strings.Cut(text, "-")
		prefix := text[:strings.LastIndex(text, "-")+1]
		if strings.HasPrefix(kind, "tx-") && !slices.Contains(committed, text) {
			t.Errorf("%s was not committed, and got", text)
		}
		var n int
		if _, err := fmt.Sscan(text[len(prefix):], &n); err == nil {
			if n < next[prefix] {
				t.Errorf("caller %s: got %d after %d", caller, n, next[prefix]-1)
			}
			next[prefix] = n + 1
		}
	}
}

// Several processes agree on all entries, while a transaction stands still.
func TestWriters(t *testing.T) {
	t.Parallel()
	d := start(t)
	w := newWriters(d)
	still := begin(t, d.pool(), pgx.RepeatableRead)
	put(t, d.log("log", nil), still, "of a rollback")
	var followers []*probe.Follower
	for i := range 3 {
		pool := d.pool()
		l := openLog(t, pool, "log", d.options(nil))
		followers = append(followers, probe.Follow(t, l, backplane.Oldest))
		w.start(fmt.Sprint("p", i), pool, l)
	}
	followers[0].Reach(1000)
	w.finish(followers...)
}
