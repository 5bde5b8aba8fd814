package redislog_test

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/redislog"
)

// A replica without the newest entries takes over, and gets others with the same numbers.
// Entries that the first server acknowledged are lost, and every follower that has seen
// them gets ErrGap. A lock is held twice, but the second holder's revision is greater.
func TestFailoverLosesTheEnd(t *testing.T) {
	t.Parallel()
	first := startRedis(t, "--repl-diskless-sync-delay", "0")
	second := startRedis(t, "--replicaof", "127.0.0.1", first.port)
	for began := time.Now(); second.do("ROLE").([]any)[3] != "connected"; {
		if time.Since(began) > probe.Patience {
			t.Fatal("the replica does not connect")
		}
		time.Sleep(10 * time.Millisecond) // until it has the master's data
	}
	var address atomic.Value
	address.Store(first.addr())
	client := first.client(func(o *redis.Options) { // like a client that asks a sentinel
		o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
		}
	})
	l, st := both(t, client)
	kept := probe.Append(t, l, "e1", "e2")
	page := probe.Swap(t, st, "page", 0, "1", 0)
	if n := first.do("WAIT", 1, 10_000); n != int64(1) {
		t.Fatalf("got %v replicas, want 1", n)
	}
	f := probe.Follow(t, l, kept)
	v := probe.WatchForgetful(t, st, "")

	if got := second.do("REPLICAOF", "NO", "ONE"); got != "OK" { // as when the first is cut off, with the client
		t.Fatal(got)
	}
	lost := probe.Append(t, l, "e3", "e4")
	lock := probe.Swap(t, st, "lock", 0, "first", 0)
	f.Has("e3", "e4")
	probe.Swap(t, st, "page", page.Rev, "2", 0)
	v.Shows("lock", "first", "page", "2")
	first.kill()
	address.Store(second.addr())

	probe.Append(t, l, "n3", "n4", "n5")
	f.HasGap("e3", "e4")
	if got, err := probe.Read(t, l, lost, 1); !errors.Is(err, backplane.ErrGap) {
		t.Errorf("after a lost entry: got %q, %v, want ErrGap", got, err)
	}
	if got, err := probe.Read(t, l, kept, 3); err != nil || len(got) != 3 || got[0] != "n3" {
		t.Errorf("after a kept entry: got %q, %v", got, err)
	}
	v.Shows("page", "1")
	again := probe.Swap(t, st, "lock", 0, "second", 0)
	if again.Rev <= lock.Rev {
		t.Errorf("got revision %d, want more than %d", again.Rev, lock.Rev)
	}
	v.Shows("lock", "second", "page", "1")
}

// The permissions in the package's documentation are sufficient.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	args := []any{"ACL", "SETUSER", "app", "on", ">secret"}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile(`(?m)^//\t([~&+].*)$`).FindAllSubmatch(doc, -1)
	for _, line := range documented {
		for rule := range strings.FieldsSeq(string(line[1])) {
			args = append(args, rule)
		}
	}
	s.do(args...)
	client := s.client(func(o *redis.Options) { o.Username, o.Password = "app", "secret" })
	l, err := redislog.Open(t.Context(), client, "log", &redislog.Options{History: 2})
	if err != nil {
		t.Fatal(err)
	}
	st, err := redislog.OpenStore(t.Context(), client, "store", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := probe.Follow(t, l, backplane.Newest)
	v := probe.Watch(t, st, "")
	for i, text := range probe.Numbered("e", 4) {
		probe.Append(t, l, text)
		f.Has(probe.Numbered("e", i+1)...)
	}
	r := probe.Swap(t, st, "k", 0, "v", time.Minute)
	r = probe.Swap(t, st, "k", r.Rev, "w", time.Minute)
	v.Shows("k", "w")
	if _, err := st.Swap(t.Context(), "k", r.Rev, nil, 0); err != nil {
		t.Error(err)
	}
	probe.Swap(t, st, "other", 0, "v", 5*time.Second)
	v.Shows("other", "v")
	v.Shows()
	if denied := s.do("ACL", "LOG").([]any); len(denied) > 0 {
		t.Errorf("got denied commands %v, want none", denied)
	}
	if channels := s.do("PUBSUB", "CHANNELS").([]any); len(channels) != 2 {
		t.Errorf("got subscriptions %v", channels)
	}

	_, err = redislog.Open(probe.Within(t, probe.Patience), client, "log", &redislog.Options{Space: "other"})
	if err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("another space: got %v, want NOPERM", err)
	}
}

func TestNothingIsLeft(t *testing.T) {
	s := startRedis(t)
	client := s.client()
	client.Ping(t.Context())
	before := runtime.NumGoroutine()
	for range 5 {
		l, st := both(t, client)
		probe.Append(t, l, "e1")
		for range 20 {
			probe.Read(t, l, backplane.Oldest, 1)
			st.Watch(t.Context(), "", func([]backplane.Record, bool) error { return errEnough })
		}
	}
	for began := time.Now(); runtime.NumGoroutine() > before; {
		if time.Since(began) > probe.Patience {
			t.Fatalf("got %d goroutines, want %d as before", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond) // until the client's goroutines have ended
	}
	if subscribed := s.do("CLIENT", "LIST", "TYPE", "pubsub"); subscribed != "" {
		t.Errorf("still subscribed: %v, want none", subscribed)
	}
}
