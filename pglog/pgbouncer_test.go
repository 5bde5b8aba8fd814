package pglog_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
)

// startBouncer starts PgBouncer in front of the shared server, and returns its URL.
func startBouncer(t *testing.T, d *database, mode string) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no pgbouncer")
		}
		t.Skip("there is no pgbouncer; with apt: apt-get install pgbouncer")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	config := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"auth_type = any\nunix_socket_dir =\npool_mode = %s\nmax_client_conn = 1000\ndefault_pool_size = 10\nlogfile = %s\n",
		d.server.Port, port, mode, filepath.Join(dir, "log"))
	config = strings.Replace(config, "* = ", "postgres = user=postgres ", 1)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if os.Getuid() == 0 { // whom it refuses
		if err := exec.Command("chown", "-R", "nobody", filepath.Dir(dir)).Run(); err != nil {
			t.Fatal(err)
		}
		args = []string{"-u", "nobody", file}
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("%s", log[max(0, len(log)-2000):])
		}
	})
	url := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	until(t, "it listens", func() bool {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			conn.Close(t.Context())
		}
		return err == nil
	})
	return url
}

// Behind PgBouncer in transaction mode all works, with whatever mode the pool has for
// statements: the suite without notifications, and entries of transactions.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	d := start(t)
	d.url = startBouncer(t, d, "transaction")
	o := d.options(&pglog.Options{NoListen: true})
	t.Run("transactions", func(t *testing.T) {
		t.Parallel()
		// Statements that the test itself sends must not be prepared.
		pool := d.pool(func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec })
		l := openLog(t, pool, "transactions", o)
		f := probe.Follow(t, l, backplane.Oldest)
		tx := begin(t, pool, "")
		put(t, l, tx, "e1", "e2")
		commit(t, tx)
		f.Has("e1", "e2")
	})
	if !testing.Short() {
		conformance(t, func() *pgxpool.Pool { return d.pool() }, *o)
	}
}

// A listener that hears nothing behind PgBouncer does not delay entries, once that has been
// noticed; one with the server's own address hears.
func TestPgBouncerPassesNoNotifications(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for what does not come")
	}
	t.Parallel()
	d := start(t)
	direct := d.url
	d.url = startBouncer(t, d, "transaction")
	own, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*pglog.Options{nil, {Listen: own}} {
		l := d.log("log", o)
		f := probe.Follow(t, d.log("log", o), backplane.Newest)
		want := probe.Numbered(fmt.Sprint("e", o != nil), 100)
		for _, text := range want {
			probe.Append(t, l, text)
			time.Sleep(100 * time.Millisecond) // entries come for longer than the test of the listener takes
		}
		f.Has(want...)
	}
}
