package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/redislog"
)

const patience = 2 * time.Minute // a guard against hangs: the machine may be busy

// A redisServer is a server process of the test.
type redisServer struct {
	t    testing.TB
	port string
	args []string
	cmd  *exec.Cmd
}

// startRedis starts a server on a free port of the loopback interface. Without further
// arguments it keeps nothing on disk.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no redis-server")
		}
		t.Skip("there is no redis-server; with apt: apt-get install redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, port: strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}
	l.Close()
	dir := t.TempDir()
	s.args = append([]string{
		"--bind", "127.0.0.1", "--port", s.port, "--dir", dir, "--save", "",
		"--logfile", filepath.Join(dir, "log"),
	}, args...)
	s.start()
	t.Cleanup(func() {
		s.kill()
		if log, err := os.ReadFile(filepath.Join(dir, "log")); err == nil && t.Failed() {
			t.Logf("%s", log[max(0, len(log)-2000):])
		}
	})
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1})
	defer client.Close()
	for began := time.Now(); ; {
		var reply redis.Error
		if err := client.Ping(s.t.Context()).Err(); err == nil || errors.As(err, &reply) && !redis.HasErrorPrefix(err, "LOADING") {
			return
		}
		if time.Since(began) > patience {
			s.t.Fatal("the server does not start")
		}
		time.Sleep(5 * time.Millisecond) // until it listens
	}
}

// kill ends the server without a warning.
func (s *redisServer) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// stop suspends the server: the kernel accepts what is sent, and no answer comes.
func (s *redisServer) stop() {
	s.cmd.Process.Signal(syscall.SIGSTOP)
	var state syscall.WaitStatus
	for !state.Stopped() { // the signal takes a moment
		if _, err := syscall.Wait4(s.cmd.Process.Pid, &state, syscall.WUNTRACED, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return // the process has ended
		}
	}
}
func (s *redisServer) cont() { s.cmd.Process.Signal(syscall.SIGCONT) }

func (s *redisServer) addr() string { return "127.0.0.1:" + s.port }

// client returns a new client, as another process would have. It is closed after what the
// test opens on it later.
func (s *redisServer) client(options ...func(*redis.Options)) *redis.Client {
	o := &redis.Options{Addr: s.addr(), PoolSize: 300}
	for _, f := range options {
		f(o)
	}
	c := redis.NewClient(o)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// log opens a log on a client of its own.
func (s *redisServer) log(name string, o *redislog.Options) *redislog.Log {
	s.t.Helper()
	l, err := redislog.Open(within(s.t, patience), s.client(), name, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// store opens a store on a client of its own.
func (s *redisServer) store(name string) *redislog.Store {
	s.t.Helper()
	st, err := redislog.OpenStore(s.t.Context(), s.client(), name, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// both opens a log and a store on one client.
func both(t testing.TB, client redis.UniversalClient) (*redislog.Log, *redislog.Store) {
	t.Helper()
	l, err := redislog.Open(within(t, patience), client, "log", nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := redislog.OpenStore(within(t, patience), client, "store", nil)
	if err != nil {
		t.Fatal(err)
	}
	return l, st
}

// do runs an administrator's command.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	v, err := s.client().Do(s.t.Context(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// prompt fails the test unless one of several attempts of f takes less than limit. On a
// busy machine any of them may take longer, but an f that waits for a timer or for the
// server always does.
func prompt(t testing.TB, limit time.Duration, what string, f func(attempt int) time.Duration) {
	t.Helper()
	fastest := f(0)
	for attempt := 1; attempt < 10 && fastest >= limit; attempt++ {
		fastest = min(fastest, f(attempt))
	}
	if fastest >= limit {
		t.Errorf("%s takes %v, want less than %v", what, fastest, limit)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// add appends an entry for each text, as both id and data, and returns the last cursor.
func add(t testing.TB, l *redislog.Log, texts ...string) (c backplane.Cursor) {
	t.Helper()
	var err error
	for _, text := range texts {
		if c, err = l.Append(within(t, patience), text, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// numbered returns prefix1, prefix2 and so on.
func numbered(prefix string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint(prefix, i+1))
	}
	return texts
}

var errEnough = errors.New("enough")

// follow returns the data of n entries after the cursor.
func follow(t testing.TB, l *redislog.Log, after backplane.Cursor, n int) (texts []string, err error) {
	t.Helper()
	err = l.Follow(within(t, patience), after, func(batch []backplane.Entry, live bool) error {
		for _, e := range batch {
			texts = append(texts, string(e.Data))
		}
		if len(texts) >= n {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return texts, err
}

// A follower follows in the background and records what it gets.
type follower struct {
	t    testing.TB
	stop context.CancelFunc

	mu      sync.Mutex
	changed chan struct{}
	texts   []string
	live    bool
	err     error
	ended   bool
}

// background starts to follow and returns once it is live. fn, if not nil, is called with
// each batch.
func background(t testing.TB, l *redislog.Log, after backplane.Cursor, fn func([]backplane.Entry)) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{t: t, stop: cancel, changed: make(chan struct{})}
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		err := l.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
			f.change(func() {
				f.live = f.live || live
				for _, e := range batch {
					f.texts = append(f.texts, string(e.Data))
				}
			})
			if fn != nil {
				fn(batch)
			}
			return nil
		})
		f.change(func() { f.ended, f.err = true, err })
	}()
	f.await("it is live", func() bool { return f.live })
	return f
}

func (f *follower) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
	close(f.changed)
	f.changed = make(chan struct{})
}

// await waits until ok returns true, and returns how long that took.
func (f *follower) await(what string, ok func() bool) time.Duration {
	f.t.Helper()
	began := time.Now()
	late := time.After(patience)
	for {
		f.mu.Lock()
		is, changed := ok(), f.changed
		f.mu.Unlock()
		if is {
			return time.Since(began)
		}
		select {
		case <-changed:
		case <-late:
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("not seen: %s; got %d entries, error %v", what, len(f.texts), f.err)
		}
	}
}

// has waits until the follower has exactly these entries.
func (f *follower) has(texts ...string) time.Duration {
	f.t.Helper()
	took := f.await(fmt.Sprint("it has ", len(texts)), func() bool { return f.ended || len(f.texts) >= len(texts) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.texts, texts) || f.ended {
		f.t.Fatalf("got %d entries, %.100q…, error %v; want %d", len(f.texts), f.texts, f.err, len(texts))
	}
	return took
}

// hasGap waits until the follower ends with ErrGap. What it got must be the beginning of
// texts.
func (f *follower) hasGap(texts ...string) {
	f.t.Helper()
	f.await("it has ended", func() bool { return f.ended })
	if !errors.Is(f.err, backplane.ErrGap) {
		f.t.Fatalf("got error %v, want ErrGap", f.err)
	}
	if len(f.texts) > len(texts) || !slices.Equal(f.texts, texts[:len(f.texts)]) {
		f.t.Fatalf("got %d entries, %.100q…; want the beginning of %.100q…", len(f.texts), f.texts, texts)
	}
}
