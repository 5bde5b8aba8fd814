package pglog_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

var errRollback = errors.New("roll back")

// put puts entries into the outbox of a transaction, each with its text as id and data.
func put(t testing.TB, l *pglog.Log, tx pgx.Tx, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := l.Tx(tx).Put(probe.Within(t, probe.Patience), text, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// begin begins a transaction, which is rolled back with the test.
func begin(t testing.TB, pool *pgxpool.Pool, level pgx.TxIsoLevel) pgx.Tx {
	t.Helper()
	tx, err := pool.BeginTx(probe.Within(t, probe.Patience), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func commit(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What a transaction has put is in the log after its commit, and nothing after a rollback, of a
// part too, at each isolation level.
func TestTransactions(t *testing.T) {
	t.Parallel()
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			d := start(t)
			pool := d.pool()
			l := openLog(t, pool, "log", d.options(nil))
			here, there := probe.Follow(t, l, backplane.Oldest), probe.Follow(t, d.log("log", nil), backplane.Oldest)
			one, two, three := begin(t, pool, level), begin(t, pool, level), begin(t, pool, level)
			put(t, l, one, "1")
			put(t, l, two, "of a rollback")
			inner, err := one.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			put(t, l, inner, "of a savepoint")
			inner.Rollback(t.Context())
			put(t, l, three, "3", "3") // the second has the same id
			put(t, l, one, "2")
			probe.Append(t, l, "0") // nothing waits for the transactions
			commit(t, one)
			here.Has("0", "1", "2")
			two.Rollback(t.Context())
			commit(t, three)
			here.Has("0", "1", "2", "3")
			there.Has("0", "1", "2", "3")
			if c := probe.Append(t, l, "3"); c != backplane.CursorOf(4, "3") {
				t.Errorf("an id of a transaction: got cursor %v, want %v", c, backplane.CursorOf(4, "3"))
			}
		})
	}
}

func TestSQLTransactions(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	f := probe.Follow(t, l, backplane.Oldest)
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	for _, text := range []string{"1", "dropped", "2"} {
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SQLTx(tx).Put(t.Context(), text, []byte(text)); err != nil {
			t.Error(err)
		}
		if end := tx.Commit; text == "dropped" {
			tx.Rollback()
		} else if err := end(); err != nil {
			t.Error(err)
		}
	}
	f.Has("1", "2")
}

// A prepared transaction has its entries in the log once it is committed, even by others.
func TestPreparedTransaction(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	f := probe.Follow(t, l, backplane.Oldest)
	tx := begin(t, pool, pgx.ReadCommitted)
	put(t, l, tx, "prepared")
	name := fmt.Sprintf("'%s'", strings.TrimPrefix(d.schema, "of "))
	if _, err := tx.Exec(t.Context(), "PREPARE TRANSACTION "+name); err != nil {
		t.Fatal(err)
	}
	probe.Append(t, l, "appended")
	d.exec("COMMIT PREPARED " + name)
	f.Has("appended", "prepared")
}

// Transactions that change the same row have the order of their changes.
func TestOrderOfChanges(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool(func(c *pgxpool.Config) { c.MaxConns = 20 })
	l := openLog(t, pool, "log", d.options(nil))
	table := pgx.Identifier{d.schema, "counter"}.Sanitize()
	d.exec("CREATE TABLE " + table + " (n integer)")
	d.exec("INSERT INTO " + table + " VALUES (0)")
	f := probe.Follow(t, d.log("log", nil), backplane.Oldest)
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					var n int
					if err := tx.QueryRow(t.Context(), "UPDATE "+table+" SET n = n + 1 RETURNING n").Scan(&n); err != nil {
						return err
					}
					text := fmt.Sprint("change ", n)
					return l.Tx(tx).Put(t.Context(), text, []byte(text))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	f.Has(probe.Numbered("change ", writers*each)...)
}

// A caller's own calls have their order, whether in transactions or not.
func TestOrderOfCalls(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	f := probe.Follow(t, d.log("log", nil), backplane.Oldest)
	want := probe.Numbered("e", 60)
	for i, text := range want {
		if i%3 == 0 {
			probe.Append(t, l, text)
			continue
		}
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return l.Tx(tx).Put(t.Context(), text, []byte(text)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	f.Has(want...)
}

// Flush numbers what was committed, although nobody follows the log.
func TestFlush(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	for _, text := range []string{"1", "2"} {
		tx := begin(t, pool, pgx.ReadCommitted)
		put(t, l, tx, text)
		commit(t, tx)
		if err := l.Flush(probe.Within(t, probe.Patience)); err != nil {
			t.Fatal(err)
		}
	}
	var head, waiting int
	schema := quoted(d.schema)
	err := pool.QueryRow(t.Context(), "SELECT head, (SELECT count(*) FROM "+schema+".outbox) FROM "+schema+".log").Scan(&head, &waiting)
	if err != nil || head != 2 || waiting != 0 {
		t.Errorf("got %d entries and %d in the outbox, error %v; want 2 and 0", head, waiting, err)
	}
}

// A transaction that stands still after it has put an entry, or has changed rows that others
// want, makes nobody's call wait.
func TestTransactionStandsStill(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	f := probe.Follow(t, d.log("log", nil), backplane.Oldest)
	still := begin(t, pool, pgx.RepeatableRead)
	put(t, l, still, "still")
	began := time.Now()
	probe.Append(t, l, "appended", "and again")
	tx := begin(t, pool, pgx.ReadCommitted)
	put(t, l, tx, "still", "put") // the same id as that of the other
	commit(t, tx)
	f.Has("appended", "and again", "still", "put")
	took := time.Since(began)
	commit(t, still)
	probe.Append(t, l, "after")
	f.Has("appended", "and again", "still", "put", "after")
	if took > probe.Patience/2 {
		t.Errorf("took %v beside a transaction that stands still", took)
	}
}

// Put refuses what Append does. A log that is gone is an error, and not an entry that is never
// seen; the log that is made again works.
func TestPutRefuses(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	tx := begin(t, pool, pgx.ReadCommitted)
	for _, tt := range []struct {
		id   string
		size int
	}{{"", 1}, {strings.Repeat("n", backplane.MaxKey+1), 1}, {"large", backplane.MaxData + 1}} {
		if err := l.Tx(tx).Put(t.Context(), tt.id, make([]byte, tt.size)); !errors.Is(err, backplane.ErrSize) {
			t.Errorf("id of %d bytes, data of %d: got %v, want ErrSize", len(tt.id), tt.size, err)
		}
	}
	put(t, l, tx, "kept")
	commit(t, tx)
	probe.Append(t, l, "appended")
	schema := quoted(d.schema)
	d.exec("DELETE FROM " + schema + ".log")
	tx = begin(t, pool, pgx.ReadCommitted)
	if err := l.Tx(tx).Put(t.Context(), "lost", nil); err == nil || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("a log that was deleted: got %v", err)
	}
	tx.Rollback(t.Context())
	if c := probe.Append(t, l, "again"); c.Seq != 1 {
		t.Errorf("in the log that was made again: got number %d, want 1", c.Seq)
	}
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return l.Tx(tx).Put(t.Context(), "2", nil) }); err != nil {
		t.Error(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if c := probe.Append(t, l, "3"); c.Seq != 3 {
		t.Errorf("after an entry of a transaction: got number %d, want 3", c.Seq)
	}
}
