package pglog_test

import (
	"syscall"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/internal/postgres"
)

// A server that is restored from a backup, or a replica that was behind and takes over, is a
// gap to every follower that has seen what is lost, even once other entries have its numbers.
// A watcher gets the records as they are.
func TestOlderState(t *testing.T) {
	for _, tt := range []struct {
		name  string
		older func(t *testing.T, s *postgres.Server) *postgres.Server // called before what will be lost
	}{
		{"backup", backup},
		{"replica", replica},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries := []int{8, 0, 3, 5} // added by others, after five were lost
			if testing.Short() {
				entries = entries[:1]
			}
			for _, more := range entries {
				d := startServer(t)
				l, st := d.log("log", nil), d.store("store")
				add(t, l, numbered("e", 5)...)
				kept := swap(t, st, "kept", 0, "1", 0)
				gone := swap(t, st, "gone", 0, "1", 0)
				other := tt.older(t, d.server)
				add(t, l, numbered("lost", 5)...)
				swap(t, st, "kept", kept.Rev, "2", 0)
				swap(t, st, "lost", 0, "1", 0)
				if _, err := st.Swap(t.Context(), "gone", gone.Rev, nil, 0); err != nil {
					t.Fatal(err)
				}
				f := background(t, l, backplane.Oldest)
				v := watchForgetful(t, st, "", true)
				v.shows("kept", "2", "lost", "1")
				takeOver(t, d.server, other)
				texts := append(numbered("e", 5), numbered("lost", 5)...)
				// The follower may look before or after these.
				add(t, d.log("log", nil), numbered("other", more)...)
				if more > 0 {
					swap(t, d.store("store"), "new", 0, "1", 0)
					v.shows("kept", "1", "gone", "1", "new", "1")
				} else {
					v.shows("kept", "1", "gone", "1")
				}
				f.hasGap(texts...)
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
		if err := other.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// An emptied table, or one that was made again, is a gap.
func TestEmptied(t *testing.T) {
	t.Parallel()
	d := start(t)
	l := d.log("log", nil)
	add(t, l, "e1", "e2")
	f, empty := background(t, l, backplane.Oldest), background(t, d.log("empty", nil), backplane.Newest)
	d.exec("TRUNCATE " + quoted(d.schema) + ".log, " + quoted(d.schema) + ".entry")
	f.hasGap("e1", "e2")
	empty.hasGap()
	if c := add(t, l, "other"); c.Seq != 1 {
		t.Errorf("got number %d, want 1", c.Seq)
	}
	again := background(t, l, backplane.Oldest)
	again.has("other")
	d.exec("DROP SCHEMA " + quoted(d.schema) + " CASCADE")
	again.await("the end", func() bool { return again.ended })
	background(t, d.log("log", nil), backplane.Oldest).has()
}
