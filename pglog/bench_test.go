package pglog_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
)

// benches are the ways to run a benchmark: each caller makes a function and calls it.
var benches = []struct {
	name string
	run  func(*testing.B, func() func())
}{
	{"1 caller", oneByOne},
	{"16 callers", atOnce(16)},
	{"256 callers", atOnce(256)},
}

// oneByOne also reports how long a call takes.
func oneByOne(b *testing.B, caller func() func()) {
	call := caller()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		call()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func atOnce(callers int) func(*testing.B, func() func()) {
	return func(b *testing.B, caller func() func()) {
		b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			call := caller()
			for pb.Next() {
				call()
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	}
}

// BenchmarkAppend appends 100 bytes.
func BenchmarkAppend(b *testing.B) {
	d := startServer(b)
	var ids atomic.Int64
	data := make([]byte, 100)
	l := d.log("log", nil)
	for _, bench := range benches {
		b.Run(bench.name, func(b *testing.B) {
			bench.run(b, func() func() {
				return func() {
					if _, err := l.Append(b.Context(), strconv.FormatInt(ids.Add(1), 36), data); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkTransactions inserts a row of the program's own in each transaction, and an entry of
// 100 bytes or none. A follower numbers the entries meanwhile.
func BenchmarkTransactions(b *testing.B) {
	d := startServer(b)
	pool := d.pool(func(c *pgxpool.Config) { c.MaxConns = 64 })
	l := openLog(b, d.pool(), "log", d.options(nil))
	table := quoted(d.schema) + ".own"
	d.exec("CREATE TABLE " + table + " (text text)")
	var ids atomic.Int64
	data := make([]byte, 100)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Follow(ctx, backplane.Newest, func([]backplane.Entry, bool) error { return nil })
	}()
	defer func() { cancel(); <-ended }()
	for _, bench := range benches {
		for _, with := range []bool{false, true} {
			b.Run(bench.name+map[bool]string{false: " without an entry", true: " with an entry"}[with], func(b *testing.B) {
				bench.run(b, func() func() {
					return func() {
						err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
							if _, err := tx.Exec(b.Context(), "INSERT INTO "+table+" VALUES ('the program''s own')"); err != nil || !with {
								return err
							}
							return l.Tx(tx).Put(b.Context(), strconv.FormatInt(ids.Add(1), 36), data)
						})
						if err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// BenchmarkFollow measures the time from the call of Append, or the beginning of a transaction,
// until another process's follower has the entry.
func BenchmarkFollow(b *testing.B) {
	d := startServer(b)
	pool := d.pool()
	l, other := openLog(b, pool, "log", d.options(nil)), d.log("log", nil)
	ctx, cancel := context.WithCancel(b.Context())
	got, ended := make(chan struct{}, 1), make(chan struct{})
	take := func([]backplane.Entry, bool) error { //nolint:unparam // what Follow takes
		got <- struct{}{}
		return nil
	}
	go func() {
		defer close(ended)
		other.Follow(ctx, backplane.Newest, take)
	}()
	<-got // it is live
	go l.Follow(ctx, backplane.Newest, func([]backplane.Entry, bool) error { return nil })
	data := make([]byte, 100)
	n := 0
	for _, kind := range []string{"append", "transaction", "transaction and flush"} {
		b.Run(kind, func(b *testing.B) {
			oneByOne(b, func() func() {
				return func() {
					n++
					id := strconv.Itoa(n)
					var err error
					if kind == "append" {
						_, err = l.Append(ctx, id, data)
					} else {
						err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return l.Tx(tx).Put(ctx, id, data) })
					}
					if err == nil && kind == "transaction and flush" {
						err = l.Flush(ctx)
					}
					if err != nil {
						b.Fatal(err)
					}
					<-got
				}
			})
		})
	}
	cancel()
	<-ended
}
