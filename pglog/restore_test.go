package pglog_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse/backplane"
	"example.org/sse/internal/postgres"
	"example.org/sse/internal/probe"
)

// A server that is restored from a backup, or a replica that was behind and takes over, is a
// gap to every follower that has seen what is lost, even once other entries have its numbers.
// A watcher gets the records as they are.
func TestOlderState(t *testing.T) {
	for _, tt := range []struct {
		name  string
		older func(t *testing.T, s *postgres.Server) *postgres.Server // called before what will be lost
		level string
	}{
		{"backup", backup, "read committed"},
		{"replica", replica, "read committed"},
		{"replica, serializable", replica, "serializable"}, // replicas refuse that
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries := []int{8, 0, 3, 5} // added by others, after five were lost
			if testing.Short() {
				entries = entries[:1]
			}
			for _, more := range entries {
				d := startServer(t, "default_transaction_isolation="+tt.level)
				l, st := d.log("log", nil), d.store("store")
				probe.Append(t, l, probe.Numbered("e", 5)...)
				kept := probe.Swap(t, st, "kept", 0, "1", 0)
				gone := probe.Swap(t, st, "gone", 0, "1", 0)
				other := tt.older(t, d.server)
				probe.Append(t, l, probe.Numbered("lost", 5)...)
				probe.Swap(t, st, "kept", kept.Rev, "2", 0)
				probe.Swap(t, st, "lost", 0, "1", 0)
				if _, err := st.Swap(t.Context(), "gone", gone.Rev, nil, 0); err != nil {
					t.Fatal(err)
				}
				f := probe.Follow(t, l, backplane.Oldest)
				v := probe.WatchForgetful(t, st, "")
				v.Shows("kept", "2", "lost", "1")
				takeOver(t, d.server, other)
				texts := append(probe.Numbered("e", 5), probe.Numbered("lost", 5)...)
				// The follower may look before or after these.
				probe.Append(t, d.log("log", nil), probe.Numbered("other", more)...)
				if more > 0 {
					probe.Swap(t, d.store("store"), "new", 0, "1", 0)
					v.Shows("kept", "1", "gone", "1", "new", "1")
				} else {
					v.Shows("kept", "1", "gone", "1")
				}
				f.HasGap(texts...)
			}
		})
	}
}

// backup returns a copy of the server as it is.
func backup(t *testing.T, s *postgres.Server) *postgres.Server {
	t.Helper()
	s.Stop(syscall.SIGINT)
	c, err := s.Copy()
	t.Cleanup(c.Remove)
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// replica returns a replica of the server, which has what it has now, and stops.
func replica(t *testing.T, s *postgres.Server) *postgres.Server {
	t.Helper()
	c, err := s.Standby(t.Context())
	t.Cleanup(c.Remove)
	if err == nil {
		err = c.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it streams", func() bool {
		return onServer(t, s).value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1
	})
	c.Stop(syscall.SIGINT)
	return c
}

// takeOver has another server take the place of one that crashes.
func takeOver(t *testing.T, s, other *postgres.Server) {
	t.Helper()
	s.Stop(syscall.SIGKILL)
	isReplica := other.Port != s.Port
	other.Port = s.Port
	if err := other.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if isReplica {
		time.Sleep(500 * time.Millisecond) // a follower reads from a replica
		if err := other.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A crash takes no numbers back that a follower can have seen, except without
// synchronous_commit. Even then it changes no order: the entry that was numbered is numbered
// again before later ones, although the process had seen that nothing was left.
func TestNumbersTakenBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		synchronous string
		again       int // entries to number
	}{{"on", 0}, {"off", 1}} {
		t.Run(tt.synchronous, func(t *testing.T) {
			t.Parallel()
			d := startServer(t, "wal_writer_delay=10s", "autovacuum=off") // else the disk may have them by chance
			pool := d.pool(func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["synchronous_commit"] = tt.synchronous })
			l := openLog(t, pool, "log", d.options(nil))
			for round := range 2 {
				tx := begin(t, pool, "")
				if _, err := tx.Exec(t.Context(), "SET LOCAL synchronous_commit = on"); err != nil {
					t.Fatal(err)
				}
				put(t, l, tx, fmt.Sprint("e", round+1))
				commit(t, tx)
				if err := l.Flush(probe.Within(t, probe.Patience)); err != nil {
					t.Fatal(err)
				}
				if round == 0 {
					d.restart(pool)
					if n := d.value("SELECT count(*) FROM " + quoted(d.schema) + ".outbox"); n != tt.again {
						t.Errorf("got %d entries to number again, want %d", n, tt.again)
					}
				}
			}
			probe.Follow(t, l, backplane.Oldest).Has("e1", "e2")
		})
	}
}

// restart has the server crash, and starts it again.
func (d *database) restart(pool *pgxpool.Pool) {
	d.t.Helper()
	d.server.Stop(syscall.SIGKILL)
	if err := d.server.Start(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	pool.Reset()
}

// An emptied table, or one that was made again, is a gap.
func TestEmptied(t *testing.T) {
	t.Parallel()
	d := start(t)
	l := d.log("log", nil)
	probe.Append(t, l, "e1", "e2")
	f, empty := probe.Follow(t, l, backplane.Oldest), probe.Follow(t, d.log("empty", nil), backplane.Newest)
	d.exec("TRUNCATE " + quoted(d.schema) + ".log, " + quoted(d.schema) + ".entry")
	f.HasGap("e1", "e2")
	empty.HasGap()
	if c := probe.Append(t, l, "other"); c.Seq != 1 {
		t.Errorf("got number %d, want 1", c.Seq)
	}
	again := probe.Follow(t, l, backplane.Oldest)
	again.Has("other")
	d.exec("DROP SCHEMA " + quoted(d.schema) + " CASCADE")
	again.End()
	probe.Follow(t, d.log("log", nil), backplane.Oldest).Has()
}
