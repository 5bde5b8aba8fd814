package redislog_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/redislog"
)

// If the server gives no answer for longer than a request may take, what is appended
// meanwhile is in the log once afterwards.
func TestServerStands(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a := s.log("log", nil)
	f := probe.Follow(t, s.log("log", nil), backplane.Newest)
	probe.Append(t, a, "before")
	s.stop()
	var wg sync.WaitGroup
	for _, text := range probe.Numbered("e", 10) {
		wg.Go(func() { probe.Append(t, a, text) })
	}
	time.Sleep(3 * time.Second) // until first attempts are abandoned
	s.cont()
	wg.Wait()
	probe.Append(t, a, "after")
	f.Reach(12)
	all, err := probe.Read(t, a, backplane.Oldest, 12)
	if err != nil || len(all) != 12 || all[0] != "before" || all[11] != "after" {
		t.Fatalf("log: got %q, %v", all, err)
	}
	f.Has(all...)
	slices.Sort(all)
	if len(slices.Compact(all)) != 12 {
		t.Errorf("log: got %q", all)
	}
}

func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a, st := s.log("log", nil), s.store("store")
	probe.Append(t, a, "before")
	probe.Swap(t, st, "before", 0, "", 0) // so that the server knows the script
	s.stop()
	const timeout = time.Second
	var errAppend, errSwap error
	probe.Prompt(t, 500*time.Millisecond, "a call, after its context has ended,", func() time.Duration {
		began := time.Now()
		_, errAppend = a.Append(probe.Within(t, timeout), "id", []byte("data"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(timeout, cancel)
		_, errSwap = st.Swap(ctx, "key", 0, []byte("value"), 0)
		return time.Since(began) - 2*timeout
	})
	if !errors.Is(errAppend, backplane.ErrIndeterminate) || !errors.Is(errAppend, context.DeadlineExceeded) {
		t.Errorf("Append: %v", errAppend)
	}
	if !errors.Is(errSwap, backplane.ErrIndeterminate) || !errors.Is(errSwap, context.Canceled) {
		t.Errorf("Swap: got %v", errSwap)
	}
	s.cont()
	c := probe.Append(t, a, "id")
	if again := probe.Append(t, a, "id"); again != c || c != backplane.CursorOf(2, "id") {
		t.Errorf("cursors %v, %v", c, again)
	}
	probe.Append(t, a, "after")
	if got, err := probe.Read(t, a, backplane.CursorOf(1, "before"), 2); err != nil || len(got) != 2 || got[1] != "after" {
		t.Errorf("log: got %q, %v", got, err)
	}
	if r, err := st.Swap(t.Context(), "key", 0, []byte("value"), 0); err == nil {
		t.Logf("it had not been done")
	} else if !errors.Is(err, backplane.ErrConflict) || string(r.Value) != "value" {
		t.Errorf("Swap: %v, %v", r, err)
	}
}

// Follow ends at once, even if the server is stopped.
func TestFollowerOfStandingServerStops(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l, st := s.log("log", nil), s.store("store")
	probe.Prompt(t, time.Second, "the end", func() time.Duration { return stopFollowers(t, s, l, st) })
}

// stopFollowers stops the server, then a follower and a watcher, and returns how long
// these take.
func stopFollowers(t *testing.T, s *redisServer, l *redislog.Log, st *redislog.Store) time.Duration {
	t.Helper()
	f := probe.Follow(t, l, backplane.Newest)
	v := probe.Watch(t, st, "")
	s.stop()
	defer s.cont()
	time.Sleep(1500 * time.Millisecond) // until a request is in progress
	began := time.Now()
	f.Stop()
	v.Stop()
	err := f.End()
	v.End()
	took := time.Since(began)
	if err != context.Canceled {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	return took
}

// A server that keeps nothing on disk restarts empty. That is a gap for every follower, even
// once the log has as many entries as before.
func TestRestartWithoutDisk(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a := s.log("log", nil)
	fromNothing := probe.Follow(t, s.log("nothing", nil), backplane.Newest)
	last := probe.Append(t, a, "e1", "e2", "e3")
	f := probe.Follow(t, s.log("log", nil), backplane.Oldest)
	f.Has("e1", "e2", "e3")
	s.kill()
	s.start()
	f.HasGap("e1", "e2", "e3")
	fromNothing.HasGap()
	if got, err := probe.Read(t, a, last, 1); !errors.Is(err, backplane.ErrGap) {
		t.Errorf("%q, %v", got, err)
	}
	probe.Append(t, a, "n1", "n2", "n3", "n4")
	if got, err := probe.Read(t, a, last, 1); !errors.Is(err, backplane.ErrGap) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := probe.Read(t, a, backplane.Oldest, 4); err != nil || len(got) != 4 {
		t.Errorf("%q, %v", got, err)
	}
}

// A server that writes to disk before it answers loses no acknowledged entry, whenever it is
// killed.
func TestRestartWithDisk(t *testing.T) {
	t.Parallel()
	s := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	a := s.log("log", nil)
	f := probe.Follow(t, s.log("log", nil), backplane.Oldest)
	st := s.store("store")
	probe.Swap(t, st, "k", 0, "v", 0)
	v := probe.Watch(t, st, "")
	texts := probe.Numbered("e", 300)
	done := make(chan struct{})
	go func() {
		defer close(done)
		probe.Append(t, a, texts...)
	}()
	for range 3 {
		time.Sleep(50 * time.Millisecond) // until some are appended
		s.kill()
		s.start()
	}
	<-done
	f.Has(texts...)
	if got, err := probe.Read(t, a, backplane.Oldest, 300); err != nil || !slices.Equal(got, texts) {
		t.Errorf("log: got %d entries, %v", len(got), err)
	}
	probe.Swap(t, st, "k", v.Rev("k"), "w", 0)
	v.Shows("k", "w")
}

func TestFlushed(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a, st := s.log("log", nil), s.store("store")
	probe.Append(t, a, "e1", "e2")
	f := probe.Follow(t, s.log("log", nil), backplane.Newest)
	old := probe.Swap(t, st, "k", 0, "v", 0)
	v := probe.Watch(t, s.store("store"), "")
	v.Shows("k", "v")
	s.do("FLUSHALL")
	v.Shows()
	f.HasGap()
	if r := probe.Swap(t, st, "k", 0, "w", 0); r.Rev <= old.Rev {
		t.Errorf("got revision %d, want more than %d, for a fence", r.Rev, old.Rev)
	}
	v.Shows("k", "w")

	// In one step with the next command, so that no one sees the server empty.
	probe.Append(t, a, "n1")
	f = probe.Follow(t, s.log("log", nil), backplane.Newest)
	client := s.client()
	tx := client.TxPipeline()
	tx.FlushAll(t.Context())
	tx.XAdd(t.Context(), &redis.XAddArgs{Stream: "{sse}:log:log", ID: "1-0", Values: []any{"n", "1", "t", "2", "d", "xx"}})
	tx.XAdd(t.Context(), &redis.XAddArgs{Stream: "{sse}:log:log", ID: "2-0", Values: []any{"n", "1", "t", "4", "d", "xx"}})
	if _, err := tx.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.HasGap()
}

// An entry that another program deletes is a gap.
func TestHole(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l := s.log("log", nil)
	texts := probe.Numbered("e", 9)
	probe.Append(t, l, texts...)
	s.do("XDEL", "{sse}:log:log", "5-0")
	if got, err := probe.Read(t, l, backplane.CursorOf(2, "e2"), 7); !errors.Is(err, backplane.ErrGap) || len(got) > 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// A full server refuses entries; once there is room, Append succeeds.
func TestServerIsFull(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	l, st := s.log("log", nil), s.store("store")
	probe.Append(t, l, "before")
	s.do("CONFIG", "SET", "maxmemory", 1)
	for _, err := range []error{
		errorOf(l.Append(probe.Within(t, 2*time.Second), "id", nil)),
		errorOf(st.Swap(probe.Within(t, 2*time.Second), "key", 0, []byte("value"), 0)),
		errorOf(redislog.Open(probe.Within(t, 2*time.Second), s.client(), "new", nil)),
	} {
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("error %v", err)
		}
	}
	time.AfterFunc(500*time.Millisecond, func() { s.client().ConfigSet(t.Context(), "maxmemory", "0") })
	if c := probe.Append(t, l, "id"); c != backplane.CursorOf(2, "id") {
		t.Errorf("cursor %v", c)
	}
	probe.Swap(t, st, "key", 0, "value", 0)
}

func errorOf[T any](_ T, err error) error { return err }

// Messages only wake: followers and watchers work without them.
func TestMessagesGetLost(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	a, st := s.log("log", nil), s.store("store")
	f := probe.Follow(t, s.log("log", nil), backplane.Newest)
	v := probe.Watch(t, s.store("store"), "")
	var texts []string
	var rev uint64
	for _, text := range probe.Numbered("e", 10) {
		if n := s.do("CLIENT", "KILL", "TYPE", "pubsub"); n == int64(0) {
			t.Log("nobody was subscribed")
		}
		probe.Append(t, a, text)
		texts = append(texts, text)
		rev = probe.Swap(t, st, "k", rev, text, 0).Rev
		f.Has(texts...)
		v.Shows("k", text)
	}
	s.do("ACL", "SETUSER", "default", "resetchannels") // no one can publish or subscribe
	s.do("CLIENT", "KILL", "TYPE", "pubsub")
	for _, text := range probe.Numbered("n", 3) {
		probe.Append(t, a, text)
		texts = append(texts, text)
		rev = probe.Swap(t, st, "k", rev, text, 0).Rev
		f.Has(texts...)
		v.Shows("k", text)
	}
}

// A lossy connection closes instead of delivering the next answer, if lose is set.
type lossy struct {
	net.Conn
	lose *atomic.Int32 // 1: lose the next answer
}

func (l lossy) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err == nil && l.lose.CompareAndSwap(1, 0) {
		l.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// If the answer is lost and the client repeats the request, the change is made once.
func TestAnswerGetsLost(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	var lose atomic.Int32
	client := s.client(func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			return lossy{c, &lose}, err
		}
	})
	l, st := both(t, client)
	probe.Append(t, l, "before")
	old := probe.Swap(t, st, "before", 0, "", 0)
	for _, text := range probe.Numbered("e", 5) {
		lose.Store(1)
		probe.Append(t, l, text)
		lose.Store(1)
		r := probe.Swap(t, st, text, 0, "v", time.Minute)
		lose.Store(1)
		if r, err := st.Swap(t.Context(), text, r.Rev, nil, 0); err != nil || r.Rev <= old.Rev {
			t.Errorf("delete: %v, %v", r, err)
		}
		if lose.Load() > 0 {
			t.Error("no answer was lost: the test proves nothing")
		}
	}
	probe.Append(t, l, "after")
	if got, err := probe.Read(t, l, backplane.CursorOf(1, "before"), 6); err != nil || !slices.Equal(got, append(probe.Numbered("e", 5), "after")) {
		t.Errorf("log: got %q, %v", got, err)
	}
}
