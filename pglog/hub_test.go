package pglog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.org/sse"
	"example.org/sse/internal/probe"
	"example.org/sse/pglog"
	"example.org/sse/ssetest"
)

// A site is one process: a hub with a set, and a server of its streams.
type site struct {
	t      *testing.T
	log    *pglog.Log
	board  *sse.Set
	server *ssetest.Server
}

// site starts a process; snapshot, if not empty, is sent to clients that do not resume.
func (d *database) site(t *testing.T, pool *pgxpool.Pool, snapshot string) *site {
	t.Helper()
	s := &site{t: t, log: openLog(t, pool, "site", d.options(nil))}
	hub := &sse.Hub{Log: s.log, NewSet: func(_ string, set *sse.Set) {
		if snapshot != "" {
			set.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return []sse.Event{{Data: snapshot}}, nil }
		}
	}}
	s.board = hub.Set("board")
	s.server = ssetest.NewServer(s.board)
	t.Cleanup(func() { hub.Close() })
	t.Cleanup(s.server.Close)
	return s
}

// say dispatches an event without a transaction.
func (s *site) say(text string) {
	s.t.Helper()
	if _, err := s.board.DispatchOnce(probe.Within(s.t, probe.Patience), "", sse.Event{Data: text}); err != nil {
		s.t.Fatal(err)
	}
}

// gets waits for the next event of each stream, with data or of a type.
func gets(t *testing.T, want string, streams ...*ssetest.Stream) {
	t.Helper()
	for i, s := range streams {
		e := s.Next()
		for e.Type == "last-event-id" { // the place at which a new client begins
			e = s.Next()
		}
		if e.Data != want && e.Type != want {
			t.Fatalf("stream %d: got event %q of type %q, want %q", i, e.Data, e.Type, want)
		}
	}
}

// The members of each process get what a transaction has dispatched, once it is committed, and
// nothing if it is rolled back. An event that is too large leaves the transaction usable.
func TestDispatchIn(t *testing.T) {
	t.Parallel()
	d := start(t)
	pool := d.pool()
	one, two := d.site(t, pool, ""), d.site(t, d.pool(), "")
	streams := []*ssetest.Stream{one.server.Open(t, "/"), two.server.Open(t, "/"), two.server.Open(t, "/")}
	ssetest.AwaitLen(t, one.board, 1)
	ssetest.AwaitLen(t, two.board, 2)
	large := sse.Event{Data: strings.Repeat("x", 256<<10)}
	for _, tt := range []struct{ key, text, end string }{
		{"1", "rolled back", "ROLLBACK"},
		{"1", "committed", "COMMIT"},
		{"1", "with a key that was committed", "COMMIT"},
		{"", "another", "COMMIT"},
	} {
		tx := begin(t, pool, pgx.Serializable)
		if err := one.board.DispatchIn(t.Context(), one.log.Tx(tx), "", large); !errors.Is(err, sse.ErrTooLarge) {
			t.Errorf("a large event: got %v, want ErrTooLarge", err)
		}
		if err := one.board.DispatchIn(t.Context(), one.log.Tx(tx), tt.key, sse.Event{Data: tt.text}); err != nil {
			t.Error(err)
		}
		if _, err := tx.Exec(t.Context(), tt.end); err != nil {
			t.Error(err)
		}
	}
	gets(t, "committed", streams...)
	gets(t, "another", streams...)
	two.say("the last")
	gets(t, "the last", streams...)
}

// After a backup was restored, each member is told that it has seen what is lost: by a snapshot
// of the state as it is, or by a gap.
func TestMembersAreToldOfLoss(t *testing.T) {
	t.Parallel()
	d := startServer(t)
	one, two := d.site(t, d.pool(), ""), d.site(t, d.pool(), "state")
	plain := []*ssetest.Stream{one.server.Open(t, "/"), one.server.Open(t, "/")}
	rendered := []*ssetest.Stream{two.server.Open(t, "/"), two.server.Open(t, "/")}
	gets(t, "state", rendered...)
	ssetest.AwaitLen(t, one.board, 2)
	all := append(plain, rendered...)
	one.say("kept")
	gets(t, "kept", all...)
	other := backup(t, d.server)
	two.say("lost")
	gets(t, "lost", all...)
	takeOver(t, d.server, other)
	gets(t, "gap", plain...)
	gets(t, "state", rendered...)
	two.say("new")
	gets(t, "new", all...)
}
