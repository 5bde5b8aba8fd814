package e2e

import (
	"errors"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
	"example.org/sse/redislog"
)

// A restorable is a server whose data can be put back to an earlier state.
type restorable struct {
	dir         string
	start, stop func()
	store       func(t *testing.T) backplane.Store // on a connection of its own
}

func restorableNATS(t *testing.T) restorable {
	b := startBroker(t, 1)
	return restorable{b.options[0].StoreDir, func() { b.start(0) }, func() { b.stop(0) }, func(t *testing.T) backplane.Store {
		return b.store(t, 0, "restored", nil)
	}}
}

func restorableRedis(t *testing.T) restorable {
	addr, start, kill := startRedis(t)
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { client.Close() })
	dir, err := client.ConfigGet(t.Context(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	return restorable{dir["dir"], start, kill, func(t *testing.T) backplane.Store {
		own := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
		t.Cleanup(func() { own.Close() })
		s, err := redislog.OpenStore(t.Context(), own, "restored", nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

// copyTo replaces a folder by a copy of another one.
func copyTo(t *testing.T, to, from string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

// A server that has lost its newest changes, as after a failover or from a backup, gives
// new ones the revisions of those that are lost. Everything is as the store has it then, in
// all processes, and locks work as before.
func TestStoreGoesBack(t *testing.T) {
	skipShort(t)
	t.Parallel()
	for _, tt := range []struct {
		name  string
		start func(*testing.T) restorable
	}{{"NATS", restorableNATS}, {"Redis", restorableRedis}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			goBack(t, tt.start(t))
		})
	}
}

// A desk is a process with a table of locks and a session.
type desk struct {
	tracker *presence.Tracker
	table   *locks.Table[string]
	self    presence.Session
	source  *sse.EventSource
}

func openDesk(t *testing.T, store backplane.Store, user string, lease time.Duration) *desk {
	t.Helper()
	d := &desk{self: presence.Session{User: user, Page: user}}
	d.tracker = &presence.Tracker{Key: []byte("one"), Store: store, Grace: time.Second, Lease: lease}
	d.table = &locks.Table[string]{Presence: d.tracker}
	t.Cleanup(func() { d.table.Close(); d.tracker.Close() })
	d.connect(t)
	return d
}

func (d *desk) connect(t *testing.T) {
	t.Helper()
	var err error
	if d.source, err = sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.tracker.Connect(d.source, d.self, "room"); err != nil {
		t.Fatal(err)
	}
}

// take takes a lock as soon as it is to be had.
func (d *desk) take(t *testing.T, key string) {
	t.Helper()
	eventually(t, patience, func() string {
		if _, err := d.table.Take(t.Context(), d.self, key); err != nil {
			return "take " + key + ": " + err.Error()
		}
		return ""
	})
}

func (d *desk) holder(key string) string {
	l, _ := d.table.Load(key)
	return l.Holder.User
}

func goBack(t *testing.T, server restorable) {
	const lease = time.Minute // longer than the server is away
	ann, bob := openDesk(t, server.store(t), "ann", lease), openDesk(t, server.store(t), "bob", lease)
	holders := func(key, want string) {
		t.Helper()
		eventually(t, patience, func() string {
			if a, b := ann.holder(key), bob.holder(key); a != want || b != want {
				return "holders of " + key + ": " + a + " and " + b + ", want " + want
			}
			return ""
		})
	}
	ann.take(t, "old")
	ann.take(t, "moved")
	holders("moved", "ann")
	server.stop()
	backup := t.TempDir()
	copyTo(t, backup, server.dir)
	server.start()
	for range 50 { // revisions that are lost
		bob.take(t, "new")
		if _, err := bob.table.Release(t.Context(), bob.self, "new"); err != nil {
			t.Fatal(err)
		}
	}
	bob.take(t, "new")
	if _, err := bob.table.Steal(t.Context(), bob.self, "moved", "a test"); err != nil {
		t.Fatal(err)
	}
	holders("moved", "bob")
	server.stop()
	copyTo(t, server.dir, backup)
	server.start()
	holders("old", "ann")
	holders("moved", "ann")
	holders("new", "")
	bob.take(t, "new")
	holders("new", "bob")
	bob.source.Close() // without a goodbye: all are asked
	holders("new", "")
	bob.connect(t)
	bob.take(t, "new")
	holders("new", "bob")
}
