package pglog_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/internal/postgres"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// loadTime is how long a server is loaded: PGLOG_LOAD=1h is for the long version.
var loadTime = cmp.Or(parseDuration(os.Getenv("PGLOG_LOAD")), time.Minute)

func parseDuration(s string) time.Duration {
	d, _ := time.ParseDuration(s)
	return d
}

func TestMain(m *testing.M) {
	if url := os.Getenv(child); url != "" {
		writeUntilKilled(url)
	}
	code := m.Run()
	if shared.server != nil {
		shared.server.Remove()
	}
	os.Exit(code)
}

// shared is the server of the tests that do not stop theirs.
var shared struct {
	once   sync.Once
	server *postgres.Server
	err    error
}

// A database is a test's part of a server: a schema of its own.
type database struct {
	t      testing.TB
	server *postgres.Server
	schema string
	url    string
}

// start returns a new schema on the shared server.
func start(t testing.TB) *database {
	t.Helper()
	shared.once.Do(func() {
		ctx := context.WithoutCancel(t.Context()) // for the tests after this one as well
		shared.server, shared.err = postgres.New(ctx, "fsync=off", "max_prepared_transactions=10")
	})
	need(t, shared.err)
	return onServer(t, shared.server)
}

// startServer returns a schema on a server of the test's own.
func startServer(t testing.TB, settings ...string) *database {
	t.Helper()
	s, err := postgres.New(t.Context(), settings...)
	need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		s.Remove()
	})
	return onServer(t, s)
}

// need skips the test if there is no PostgreSQL.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

func onServer(t testing.TB, s *postgres.Server) *database {
	return &database{t: t, server: s, schema: fmt.Sprintf(`of "test" %x`, rand.Uint64()), url: s.URL("postgres")}
}

// pool returns a new pool, as another process would have. It is closed after what the test
// opens on it later.
func (d *database) pool(change ...func(*pgxpool.Config)) *pgxpool.Pool {
	d.t.Helper()
	c, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	c.MaxConns = 5
	for _, f := range change {
		f(c)
	}
	p, err := pgxpool.NewWithConfig(d.t.Context(), c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(p.Close)
	return p
}

// exec runs an administrator's statement.
func (d *database) exec(sql string) {
	d.t.Helper()
	if _, err := d.pool().Exec(d.t.Context(), sql); err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
}

// log opens a log on a pool of its own.
func (d *database) log(name string, o *pglog.Options) *pglog.Log {
	d.t.Helper()
	return openLog(d.t, d.pool(), name, d.options(o))
}

func (d *database) options(o *pglog.Options) *pglog.Options {
	var own pglog.Options
	if o != nil {
		own = *o
	}
	own.Schema = d.schema
	return &own
}

func openLog(t testing.TB, pool *pgxpool.Pool, name string, o *pglog.Options) *pglog.Log {
	t.Helper()
	l, err := pglog.Open(probe.Within(t, probe.Patience), pool, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// store opens a store on a pool of its own.
func (d *database) store(name string) *pglog.Store {
	d.t.Helper()
	st, err := pglog.OpenStore(probe.Within(d.t, probe.Patience), d.pool(), name, &pglog.StoreOptions{Schema: d.schema})
	if err != nil {
		d.t.Fatal(err)
	}
	return st
}

// until waits for what can only be asked for.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); {
		if time.Since(began) > probe.Patience {
			t.Fatal("not seen: " + what)
		}
		time.Sleep(10 * time.Millisecond) // until it may be so
	}
}

// quoted returns an identifier as SQL.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
