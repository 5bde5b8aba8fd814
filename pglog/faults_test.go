package pglog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// faulty runs writers and followers of three processes while a fault happens, several times.
func faulty(t *testing.T, d *database, rounds int, fault func(round int), change ...func(*pgxpool.Config)) {
	t.Helper()
	w := newWriters(d)
	var followers []*probe.Follower
	for i := range 3 {
		pool := d.pool(change...)
		l := openLog(t, pool, "log", d.options(nil))
		followers = append(followers, probe.Follow(t, l, backplane.Oldest))
		w.start(fmt.Sprint("p", i), pool, l)
	}
	more := func() {
		f := followers[0]
		f.Reach(len(f.Texts()) + 100)
	}
	more()
	for round := range rounds {
		fault(round)
		more()
	}
	w.finish(followers...)
}

// A server that stops at once, or crashes, loses nothing that was committed, and numbers
// nothing twice.
func TestServerDies(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills servers")
	}
	t.Parallel()
	d := startServer(t)
	faulty(t, d, 4, func(round int) {
		d.server.Stop([]syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL, syscall.SIGINT}[round%3])
		time.Sleep(200 * time.Millisecond) // until attempts fail
		if err := d.server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// A backend that is killed makes the server restart all.
func TestBackendDies(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills servers")
	}
	t.Parallel()
	d := startServer(t)
	admin := d.pool()
	faulty(t, d, 2, func(int) {
		for pid := 0; pid == 0; {
			// The restart before this one may not be over, and it has cut this connection, too.
			err := admin.QueryRow(t.Context(), "SELECT pid FROM pg_stat_activity WHERE query LIKE '%append1(%' AND pid <> pg_backend_pid() LIMIT 1").Scan(&pid)
			if err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			} else if t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
	})
}

// Connections that are cut, also those that listen, delay entries.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	d := start(t)
	admin := d.pool()
	faulty(t, d, 5, func(round int) {
		which := "state <> 'active'"
		if round%2 == 0 {
			which = "query LIKE 'LISTEN%'"
		}
		// Only this test's: the server is shared.
		_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND "+which, d.schema)
		if err != nil {
			t.Error(err)
		}
	}, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = d.schema })
}

// A follower whose connection for notifications was cut looks by itself, and listens again.
func TestListenerCut(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool(func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = d.schema })
	f := probe.Follow(t, openLog(t, pool, "log", d.options(nil)), backplane.Oldest)
	l := d.log("log", nil)
	listener := "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND application_name = '" + d.schema + "'"
	for round := range 3 {
		until(t, "it listens", func() bool { return d.value("SELECT count(*) "+listener) == 1 })
		d.exec("SELECT pg_terminate_backend(pid) " + listener)
		probe.Append(t, l, fmt.Sprint("e", round+1))
		f.Has(probe.Numbered("e", round+1)...)
	}
}

// A process that does nothing costs a connection and two queries a second, for a log and a
// store together. The pool makes a query of its own before it uses an idle connection.
func TestIdleCost(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for nothing to happen")
	}
	t.Parallel()
	d := startServer(t, "autovacuum=off")
	pool := d.pool()
	l := openLog(t, pool, "log", d.options(nil))
	st, err := pglog.OpenStore(t.Context(), pool, "store", &pglog.StoreOptions{Schema: d.schema})
	if err != nil {
		t.Fatal(err)
	}
	probe.Follow(t, l, backplane.Oldest)
	probe.Watch(t, st, "")
	until(t, "it listens", func() bool { return d.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") == 1 })
	const queries = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'"
	time.Sleep(15 * time.Second) // until the statistics of idle connections are complete
	before, began := d.value(queries), time.Now()
	time.Sleep(30 * time.Second) // what is measured
	perSecond := float64(d.value(queries)-before) / time.Since(began).Seconds()
	if perSecond > 2.2 { // and those of the test
		t.Errorf("got %.1f queries a second, want 2", perSecond)
	}
	t.Logf("%.1f queries a second", perSecond)
}

// Short timeouts of the server end statements and transactions, and lose nothing.
func TestShortTimeouts(t *testing.T) {
	t.Parallel()
	d := start(t)
	faulty(t, d, 1, func(int) {}, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["statement_timeout"] = "10"
		c.ConnConfig.RuntimeParams["lock_timeout"] = "10"
		c.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "12"
	})
}

// A statement_timeout that is too short to number many entries does not keep them waiting
// forever.
func TestShortStatementTimeout(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.log("log", nil)
	schema := quoted(d.schema)
	d.exec("INSERT INTO " + schema + ".outbox (log, id, data) SELECT l.id, gen_random_uuid(), 'x' FROM " + schema + ".log l, generate_series(1, 5000)")
	pool := d.pool(func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["statement_timeout"] = "5" })
	l := openLog(t, pool, "log", d.options(nil))
	if c := probe.Append(t, l, "after them"); c.Seq != 5001 {
		t.Errorf("got number %d, want 5001", c.Seq)
	}
	probe.Follow(t, l, backplane.Oldest).Reach(5001)
}

// While the program has all connections of the pool, calls wait; none of them is lost.
func TestPoolExhausted(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool(func(c *pgxpool.Config) { c.MaxConns = 2 })
	l := openLog(t, pool, "log", d.options(nil))
	f := probe.Follow(t, l, backplane.Oldest)
	var taken []*pgxpool.Conn
	for range 2 {
		c, err := pool.Acquire(probe.Within(t, probe.Patience))
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, c)
	}
	_, err := l.Append(probe.Within(t, 100*time.Millisecond), "not sent", nil)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("without a connection: got %v, want %v and nothing sent", err, context.DeadlineExceeded)
	}
	_, err = pglog.Open(probe.Within(t, 3*time.Second), pool, "another", d.options(nil))
	if err == nil || !strings.Contains(err.Error(), "all 2 connections of the pool are in use") {
		t.Errorf("Open without a connection: got %v", err)
	}
	var wg sync.WaitGroup
	for _, text := range probe.Numbered("e", 10) {
		wg.Go(func() { probe.Append(t, l, text) })
	}
	time.Sleep(3 * time.Second) // until an attempt is abandoned
	for _, c := range taken {
		c.Release()
	}
	wg.Wait()
	if got := f.Reach(10); len(got) != 10 {
		t.Errorf("got %q, want 10 entries", got)
	}
}

// A server that does not answer for long is logged, once, and that it does again.
func TestStallIsLogged(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than ten seconds, and the program's logger")
	}
	var log buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	d := startServer(t)
	l := d.log("log", nil)
	f := probe.Follow(t, l, backplane.Oldest)
	if since := time.Since(l.Heard()); since > probe.Patience {
		t.Errorf("heard from the server %v ago", since)
	}
	d.server.Stop(syscall.SIGQUIT)
	stopped := time.Now()
	until(t, "it is logged", func() bool { return strings.Contains(log.String(), "no answer") })
	if at := l.Heard(); at.After(stopped) {
		t.Errorf("heard from a server that is stopped, at %v", at)
	}
	if err := d.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	probe.Append(t, l, "e1")
	f.Has("e1")
	if s := log.String(); strings.Count(s, "no answer") != 1 || strings.Count(s, "answers again") != 1 {
		t.Errorf("got log %s", s)
	}
}

// A buffer is what a logger writes to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// If the server gives no answer before a caller's context ends, the outcome is unknown, and a
// call with the same id finds it out.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	d := start(t)
	l, st := d.log("log", nil), d.store("store")
	before := probe.Append(t, l, "before")
	schema := quoted(d.schema)
	locks := begin(t, d.pool(), "") // the server waits for it
	_, err := locks.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1885826152, l.id), pg_advisory_xact_lock(1885826154, s.id) FROM "+schema+".log l, "+schema+".store s")
	if err != nil {
		t.Fatal(err)
	}
	_, errAppend := l.Append(probe.Within(t, time.Second), "id", []byte("data"))
	_, errSwap := st.Swap(probe.Within(t, time.Second), "key", 0, []byte("value"), 0)
	locks.Rollback(t.Context())
	for _, err := range []error{errAppend, errSwap} {
		if !errors.Is(err, backplane.ErrIndeterminate) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrIndeterminate", err)
		}
	}
	c := probe.Append(t, l, "id")
	if again := probe.Append(t, l, "id"); again != c || c != backplane.CursorOf(before.Seq+1, "id") {
		t.Errorf("got cursors %v and %v, want %v", c, again, backplane.CursorOf(before.Seq+1, "id"))
	}
	r, err := st.Swap(probe.Within(t, probe.Patience), "key", 0, []byte("value"), 0)
	if err != nil && !errors.Is(err, backplane.ErrConflict) || string(r.Value) != "value" {
		t.Errorf("Swap: got %v, %v", r, err)
	}
}
