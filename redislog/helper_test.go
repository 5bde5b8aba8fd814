package redislog_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/internal/probe"
	"example.org/sse/redislog"
)

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
		if time.Since(began) > probe.Patience {
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
	l, err := redislog.Open(probe.Within(s.t, probe.Patience), s.client(), name, o)
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
	l, err := redislog.Open(probe.Within(t, probe.Patience), client, "log", nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := redislog.OpenStore(probe.Within(t, probe.Patience), client, "store", nil)
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

var errEnough = errors.New("enough")
