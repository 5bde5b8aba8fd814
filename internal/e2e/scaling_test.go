package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/redislog"
)

// guide returns the blocks of a language in docs/scaling.md.
func guide(t *testing.T, language string) (blocks []string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		blocks = append(blocks, m[1])
	}
	if blocks == nil {
		t.Fatalf("the guide has no %s", language)
	}
	return blocks
}

// The guide's program is that of folder node, and its other code is compiled with
// these tests.
func TestScalingGuide(t *testing.T) {
	blocks := guide(t, "go")
	program, err := os.ReadFile("node/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if blocks[0] != string(program) {
		t.Error("the program is not that of folder node")
	}
	code, err := os.ReadFile("scaling_test.go")
	if err != nil {
		t.Fatal(err)
	}
	flat := func(code string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(code, "") }
	for _, block := range blocks[1:] {
		if !strings.Contains(flat(string(code)), flat(block)) {
			t.Errorf("not in scaling_test.go:\n%s", block)
		}
	}
}

var _ = onRedis

func onRedis(ctx context.Context) (*sse.Hub, error) {
	client := redis.NewClient(&redis.Options{
		Addr:                  "redis:6379",
		PoolSize:              100, // more than there are dispatches at once
		ContextTimeoutEnabled: true,
	})
	entries, err := redislog.Open(ctx, client, "site", nil)
	if err != nil {
		return nil, err
	}
	hub := sse.Hub{Log: entries, History: 10_000, HistoryBytes: 64 << 20}
	return &hub, nil
}

// The guide's program as two processes behind the guide's proxies: what is said to
// one is seen at the other, and while one of them leaves nobody is turned away.
func TestScalingProxies(t *testing.T) {
	program := filepath.Join(t.TempDir(), "node")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./node").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"nginx", "haproxy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := find(t, name)
			b := startBroker(t, 1)
			one, two := startSite(t, b, program), startSite(t, b, program)
			proxy := behindGuide(t, path, one.addr, two.addr)
			streams := []*stream{one.stream(t, "/events"), two.stream(t, "/events")}
			awaitStatus(t, "http://"+proxy+"/ready", http.StatusOK)
			r, err := http.PostForm("http://"+proxy+"/say", url.Values{"text": {"hello"}, "key": {"1"}}) //nolint:noctx // on loopback
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			for i, s := range streams {
				if !s.sees("data: hello") {
					t.Errorf("stream %d has not been told; said with %s", i, r.Status)
				}
			}
			said := time.Now()
			one.leave(t)
			opened := 0
			for gone := false; !gone; {
				select {
				case err := <-one.ended:
					if gone = true; err != nil {
						t.Errorf("the process that left: %v", err)
					}
				default:
				}
				if got := status("http://" + proxy + "/events"); got != http.StatusOK {
					t.Errorf("stream %d: status %d", opened, got)
				}
				if opened++; opened == 1 {
					awaitStatus(t, "http://"+one.addr+"/ready", http.StatusServiceUnavailable)
				}
				time.Sleep(20 * time.Millisecond) // a rate of clients
			}
			if !streams[0].sees("retry: ") {
				t.Error("the stream ended without a time to come back")
			}
			t.Logf("%d streams opened in the %v that a process took to leave", opened, time.Since(said).Truncate(time.Millisecond))
		})
	}
}

// A stream behind the guide's proxies is detached, which takes HTTP/1.1, and events
// are not held back.
func TestScalingStream(t *testing.T) {
	for _, name := range []string{"nginx", "haproxy"} {
		t.Run(name, func(t *testing.T) {
			path := find(t, name)
			before := sse.ReadStats().Detached
			var group sse.Set
			server := httptest.NewUnstartedServer(&group)
			server.Listener = sse.Listener(server.Listener)
			server.Start()
			defer server.Close()
			defer group.CloseAll()
			addr := server.Listener.Addr().String()
			s, err := openStream(t.Context(), "http://"+behindGuide(t, path, addr, addr)+"/events")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			eventually(t, soon, func() string {
				if stats := sse.ReadStats(); stats.Detached <= before {
					return fmt.Sprintf("it is not detached: %+v", stats)
				}
				return ""
			})
			// On a busy machine many events are late, but a timer would delay all of them.
			const limit = 100 * time.Millisecond
			fastest := time.Hour
			for i := 0; i < 3 || fastest > limit && i < 100; i++ {
				began, data := time.Now(), fmt.Sprint("data: ", i)
				group.Dispatch("", data)
				if !s.sees(data) {
					t.Fatal(s.lines.Err())
				}
				fastest = min(fastest, time.Since(began))
			}
			if fastest > limit {
				t.Errorf("the fastest event takes %v, want %v at most", fastest, limit)
			}
		})
	}
}

func find(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no " + name)
		}
		t.Skip("there is no " + name)
	}
	return path
}

// A site is one process of the guide's program.
type site struct {
	addr  string
	cmd   *exec.Cmd
	ended chan error
}

func startSite(t *testing.T, b *broker, program string) *site {
	t.Helper()
	s := &site{addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), cmd: exec.CommandContext(t.Context(), program), ended: make(chan error, 1)}
	s.cmd.Env = append(os.Environ(), "ADDR="+s.addr, fmt.Sprintf("NATS=nats://127.0.0.1:%d", b.options[0].Port))
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.ended <- s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.ended
	})
	awaitStatus(t, "http://"+s.addr+"/ready", http.StatusOK)
	return s
}

func (s *site) stream(t *testing.T, path string) *stream {
	t.Helper()
	opened, err := openStream(t.Context(), "http://"+s.addr+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// leave asks the process to end.
func (s *site) leave(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// behindGuide starts the proxy as the guide configures it, before two servers,
// until the test's end.
func behindGuide(t *testing.T, path, one, two string) (addr string) {
	t.Helper()
	name := filepath.Base(path)
	addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	dir := t.TempDir()
	conf := strings.NewReplacer("10.0.0.1:8080", one, "10.0.0.2:8080", two, "*:80", addr).Replace(guide(t, name)[0])
	args := []string{"-f", filepath.Join(dir, "conf")}
	if name == "nginx" {
		args = []string{"-c", filepath.Join(dir, "conf"), "-e", "stderr", "-p", dir}
		temporary := ""
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			temporary += kind + "_temp_path " + dir + "/" + kind + ";\n"
		}
		conf = "daemon off; pid " + dir + "/pid; error_log stderr;\n" +
			strings.Replace(conf, "http {\n", "http {\naccess_log off;\n"+temporary, 1)
		if os.Geteuid() == 0 {
			conf = "user root;\n" + conf
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	p.Stderr = os.Stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Signal(syscall.SIGTERM)
		p.Wait()
	})
	eventually(t, soon, func() string {
		if status("http://"+addr+"/ready") == 0 {
			return "there is no answer"
		}
		return ""
	})
	return addr
}

// status is that of the answer, or 0 if there is none.
func status(url string) int {
	r, err := http.Get(url) //nolint:noctx // on loopback
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}

func awaitStatus(t *testing.T, url string, want int) {
	t.Helper()
	eventually(t, soon, func() string {
		if got := status(url); got != want {
			return fmt.Sprintf("%s answers %d, want %d", url, got, want)
		}
		return ""
	})
}
