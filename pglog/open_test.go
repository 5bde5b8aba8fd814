package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// user makes a user with the rights that the statements grant, and returns a function that
// makes the user's pools.
func (d *database) user(grants ...string) func() *pgxpool.Pool {
	name := strings.ReplaceAll(strings.TrimPrefix(d.schema, `of "test" `), `"`, "")
	d.exec(`CREATE USER "` + name + `"`)
	for _, grant := range grants {
		d.exec(strings.ReplaceAll(grant, "pglog", quoted(d.schema)) + ` TO "` + name + `"`)
	}
	return func() *pgxpool.Pool { return d.pool(func(c *pgxpool.Config) { c.ConnConfig.User = name }) }
}

// A user with the rights that the package's documentation lists can do everything.
func TestRights(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.log("log", nil) // makes the schema
	pool := d.user(
		"GRANT USAGE ON SCHEMA pglog",
		"GRANT SELECT, INSERT, UPDATE ON pglog.log, pglog.store",
		"GRANT SELECT, INSERT, DELETE ON pglog.entry, pglog.outbox",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON pglog.record",
	)
	if !testing.Short() {
		conformance(t, pool, *d.options(nil))
		return
	}
	own := pool()
	l := openLog(t, own, "log", d.options(nil))
	f := probe.Follow(t, l, backplane.Oldest)
	probe.Append(t, l, "e1")
	tx := begin(t, own, "")
	put(t, l, tx, "e2")
	commit(t, tx)
	f.Has("e1", "e2")
	d.trims(own)
}

// A program that only dispatches in transactions needs few rights.
func TestRightsOfProducer(t *testing.T) {
	t.Parallel()
	d := start(t)
	f := probe.Follow(t, d.log("log", nil), backplane.Oldest)
	pool := d.user("GRANT USAGE ON SCHEMA pglog", "GRANT SELECT ON pglog.log", "GRANT INSERT ON pglog.outbox")()
	l := openLog(t, pool, "log", d.options(nil))
	tx := begin(t, pool, "")
	put(t, l, tx, "e1")
	commit(t, tx)
	f.Has("e1")
	if _, err := l.Append(t.Context(), "e2", nil); err == nil || !strings.Contains(err.Error(), "permission denied for") || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Append without rights: got %v", err)
	}
}

// Open says what is wrong, in the server's words, and does nothing.
func TestOpenRefused(t *testing.T) {
	t.Parallel()
	d := start(t)
	long := strings.Repeat("n", backplane.MaxKey+1)
	as := func(f func(*pgxpool.Config)) *pgxpool.Pool { return d.pool(f) }
	stranger := d.user()()
	for _, tt := range []struct {
		what string
		pool *pgxpool.Pool
		name string
		o    pglog.Options
		want error
		says string
	}{
		{"no pool", nil, "a", pglog.Options{}, nil, "no pool"},
		{"no name", d.pool(), "", pglog.Options{}, backplane.ErrSize, "1 to 512 bytes"},
		{"long name", d.pool(), long, pglog.Options{}, backplane.ErrSize, "1 to 512 bytes"},
		{"long schema", d.pool(), "a", pglog.Options{Schema: long[:64]}, nil, "1 to 63 bytes"},
		{"NUL in the schema", d.pool(), "a", pglog.Options{Schema: "a\x00b"}, nil, "no NUL"},
		{"no database", as(func(c *pgxpool.Config) { c.ConnConfig.Database = "none" }), "a", pglog.Options{}, nil, `database "none" does not exist`},
		{"no user", as(func(c *pgxpool.Config) { c.ConnConfig.User = "none" }), "a", pglog.Options{}, nil, `role "none" does not exist`},
		{"no rights", stranger, "a", *d.options(nil), nil, "run the statements of pglog.Schema as a user who may"},
	} {
		_, errLog := pglog.Open(probe.Within(t, probe.Patience), tt.pool, tt.name, &tt.o)
		_, errStore := pglog.OpenStore(probe.Within(t, probe.Patience), tt.pool, tt.name, &pglog.StoreOptions{Schema: tt.o.Schema})
		for _, err := range []error{errLog, errStore} {
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: got %v, want %q", tt.what, err, tt.says)
			}
		}
	}
	d.exec("CREATE SCHEMA " + quoted(d.schema))
	name := strings.TrimPrefix(d.schema, `of "test" `)
	_, err := pglog.Open(probe.Within(t, probe.Patience), d.pool(func(c *pgxpool.Config) { c.ConnConfig.User = name }), "a", d.options(nil))
	if err == nil || !strings.Contains(err.Error(), "permission denied for schema") {
		t.Errorf("no rights on the schema: got %v", err)
	}
}

// Any number of processes may make the schema at once.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t)
	var wg sync.WaitGroup
	for range 8 {
		pool := d.pool()
		wg.Go(func() {
			if l, err := pglog.Open(probe.Within(t, probe.Patience), pool, "log", d.options(nil)); err != nil {
				t.Error(err)
			} else {
				probe.Append(t, l, "id")
			}
		})
	}
	wg.Wait()
	probe.Follow(t, d.log("log", nil), backplane.Oldest).Has("id")
	d.exec(pglog.Schema(d.schema)) // again
}

// Pools whose transactions have another isolation level work.
func TestDefaultIsolation(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.log("log", nil) // makes the schema
	for _, level := range []string{"serializable", "repeatable read"} {
		pool := d.pool(func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["default_transaction_isolation"] = level })
		l := openLog(t, pool, level, d.options(nil))
		f := probe.Follow(t, l, backplane.Oldest)
		probe.Append(t, l, "e1", "e2")
		tx := begin(t, pool, "")
		put(t, l, tx, "e3")
		commit(t, tx)
		f.Has("e1", "e2", "e3")
		st, err := pglog.OpenStore(t.Context(), pool, level, &pglog.StoreOptions{Schema: d.schema})
		if err != nil {
			t.Fatal(err)
		}
		v := probe.Watch(t, st, "")
		probe.Swap(t, st, "key", 0, "value", time.Second)
		v.Shows("key", "value")
		v.Shows()
	}
}

func TestOpenWithoutServer(t *testing.T) {
	t.Parallel()
	d := startServer(t)
	d.server.Stop(syscall.SIGINT)
	pool := d.pool()
	_, err := pglog.Open(probe.Within(t, 500*time.Millisecond), pool, "a", nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `log "a"`) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	opened := make(chan error)
	go func() {
		_, err := pglog.Open(probe.Within(t, probe.Patience), pool, "a", nil)
		opened <- err
	}()
	time.Sleep(300 * time.Millisecond) // until it has tried
	if err := d.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// A server that is too old is refused by its version, and left as it is. With PostgreSQL 13 in
// PATH it is a real one.
func TestOldServer(t *testing.T) {
	t.Parallel()
	d, version := start(t), "9.6.24"
	if number := d.value("SELECT current_setting('server_version_num')::integer"); number < 140000 {
		version = fmt.Sprintf("%d.%d", number/10000, number%10000)
	} else {
		d = &database{t: t, url: pretend(t, version)}
	}
	_, errLog := pglog.Open(probe.Within(t, probe.Patience), d.pool(), "a", d.options(nil))
	_, errStore := pglog.OpenStore(probe.Within(t, probe.Patience), d.pool(), "a", &pglog.StoreOptions{Schema: d.schema})
	for _, err := range []error{errLog, errStore} {
		if err == nil || !strings.Contains(err.Error(), "PostgreSQL "+version) || !strings.Contains(err.Error(), "14 or later is needed") {
			t.Errorf("got %v, want version %s and the oldest one that works", err, version)
		}
	}
	if version != "9.6.24" && d.value("SELECT count(*) FROM pg_namespace WHERE nspname = '"+d.schema+"'") != 0 {
		t.Error("the schema was made")
	}
}

// pretend returns the URL of a server that says it has a version, and no more.
func pretend(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			b := pgproto3.NewBackend(conn, conn)
			if _, err := b.ReceiveStartupMessage(); err != nil {
				continue
			}
			b.Send(&pgproto3.AuthenticationOk{})
			b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			b.Flush()
		}
	}()
	return "postgres://postgres@" + l.Addr().String() + "/postgres?sslmode=disable"
}

func TestPoolIsClosed(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	st, err := pglog.OpenStore(t.Context(), pool, "store", &pglog.StoreOptions{Schema: d.schema})
	if err != nil {
		t.Fatal(err)
	}
	f, v := probe.Follow(t, l, backplane.Newest), probe.Watch(t, st, "")
	pool.Close()
	if err := f.End(); !errors.Is(err, backplane.ErrClosed) {
		t.Errorf("Follow: got %v, want ErrClosed", err)
	}
	if err := v.End(); !errors.Is(err, backplane.ErrClosed) {
		t.Errorf("Watch: got %v, want ErrClosed", err)
	}
	if _, err := l.Append(t.Context(), "id", nil); !errors.Is(err, backplane.ErrClosed) || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Append: got %v, want ErrClosed", err)
	}
	if _, err := st.Swap(t.Context(), "key", 0, nil, 0); !errors.Is(err, backplane.ErrClosed) || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Swap: got %v, want ErrClosed", err)
	}
}
