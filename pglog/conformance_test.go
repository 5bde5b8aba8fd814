package pglog_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/logtest"
	"example.org/sse/pglog"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	d := start(t)
	conformance(t, func() *pgxpool.Pool { return d.pool() }, *d.options(nil))
}

// conformance runs the suite; each handle has a pool of its own.
func conformance(t *testing.T, pool func() *pgxpool.Pool, o pglog.Options) {
	t.Run("log", func(t *testing.T) {
		logtest.Run(t, func(t testing.TB, name string, history int) backplane.Log {
			o := o
			o.History = history
			return openLog(t, pool(), name, &o)
		})
	})
	t.Run("store", func(t *testing.T) {
		logtest.RunStore(t, func(t testing.TB, name string) backplane.Store {
			st, err := pglog.OpenStore(t.Context(), pool(), name, &pglog.StoreOptions{Schema: o.Schema, Listen: o.Listen, NoListen: o.NoListen, Poll: o.Poll})
			if err != nil {
				t.Fatal(err)
			}
			return st
		})
	})
}
