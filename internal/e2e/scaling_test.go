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

	"example.org/sse"
)

// guide returns the code blocks of a language in a page of docs.
func guide(t *testing.T, page, language string) (blocks []string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		blocks = append(blocks, m[1])
	}
	if blocks == nil {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return blocks
}

// The guide's programs are those in folders node and pgnode. Its other code, and that of the page
// on servers, is compiled with these tests.
func TestScalingGuide(t *testing.T) {
	blocks := guide(t, "scaling.md", "go")
	for i, file := range map[int]string{0: "node/main.go", 2: "pgnode/main.go"} {
		program, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if blocks[i] != string(program) {
			t.Errorf("the guide's program differs from %s", file)
		}
	}
	compiled(t, "scaling_code_test.go", blocks[1:2])
	compiled(t, "http3_test.go", guide(t, "servers.md", "go"))
}

// compiled checks that a file has blocks of code, of whatever indentation.
func compiled(t *testing.T, file string, blocks []string) {
	t.Helper()
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flat := func(code string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(code, "") }
	for _, block := range blocks {
		if !strings.Contains(flat(string(code)), flat(block)) {
			t.Errorf("%s does not have this block of the guide:\n%s", file, block)
		}
	}
}

// Two processes of the guide's program run behind the guide's proxies: streams of both
// get a message to one, and while one process is drained no client is rejected.
func TestScalingProxies(t *testing.T) {
	program := filepath.Join(t.TempDir(), "node")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./node").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"nginx", "haproxy"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := find(t, name)
			env := fmt.Sprintf("NATS=nats://127.0.0.1:%d", startBroker(t, 1).options[0].Port)
			one, two := startSite(t, program, env), startSite(t, program, env)
			proxy := behindGuide(t, path, one.addr, two.addr)
			streams := []*stream{one.stream(t), two.stream(t)}
			awaitStatus(t, "http://"+proxy+"/ready", http.StatusOK)
			r, err := http.PostForm("http://"+proxy+"/say", url.Values{"text": {"hello"}, "key": {"1"}}) //nolint:noctx // on loopback
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			for i, s := range streams {
				if !s.sees("data: hello") {
					t.Errorf("stream %d has not got the message, which was answered with %s", i, r.Status)
				}
			}
			said := time.Now()
			one.leave(t)
			opened := 0
			for gone := false; !gone; {
				select {
				case err := <-one.ended:
					if gone = true; err != nil {
						t.Errorf("the drained process ended with %v", err)
					}
				default:
				}
				if got := status("http://" + proxy + "/events"); got != http.StatusOK {
					t.Errorf("stream %d: got status %d, want 200", opened, got)
				}
				if opened++; opened == 1 {
					awaitStatus(t, "http://"+one.addr+"/ready", http.StatusServiceUnavailable)
				}
				time.Sleep(20 * time.Millisecond) // a rate of clients
			}
			if !streams[0].sees("retry: ") {
				t.Error("the stream ended without a retry")
			}
			t.Logf("%d streams were opened while a process was drained for %v", opened, time.Since(said).Truncate(time.Millisecond))
		})
	}
}

// A stream behind the guide's proxies is detached, which needs HTTP/1.1, and its events
// are not delayed.
func TestScalingStream(t *testing.T) {
	for _, name := range []string{"nginx", "haproxy"} {
		t.Run(name, func(t *testing.T) {
			path := find(t, name)
			before := sse.ReadStats().Detached
			var group sse.Set
			mux := http.NewServeMux() // HAProxy's health checks get no streams
			mux.Handle("/events", &group)
			mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
			server := httptest.NewUnstartedServer(mux)
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
					return fmt.Sprintf("the stream is not detached: %+v", stats)
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
			t.Fatal(name + " is not installed")
		}
		t.Skip(name + " is not installed")
	}
	return path
}

// A site is one process of the guide's program.
type site struct {
	addr  string
	cmd   *exec.Cmd
	ended chan error
}

// startSite starts a process, and waits until it is ready.
func startSite(t *testing.T, program, env string) *site {
	t.Helper()
	s := &site{addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), cmd: exec.CommandContext(t.Context(), program), ended: make(chan error, 1)}
	s.cmd.Env = append(os.Environ(), "ADDR="+s.addr, env)
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

func (s *site) stream(t *testing.T) *stream {
	t.Helper()
	opened, err := openStream(t.Context(), "http://"+s.addr+"/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// leave sends the process a SIGTERM.
func (s *site) leave(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// behindGuide starts a proxy with the guide's configuration in front of two servers,
// and stops it when the test ends.
func behindGuide(t *testing.T, path, one, two string) (addr string) {
	t.Helper()
	name := filepath.Base(path)
	addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	dir := t.TempDir()
	conf := strings.NewReplacer("10.0.0.1:8080", one, "10.0.0.2:8080", two, "*:80", addr).Replace(guide(t, "scaling.md", name)[0])
	args := []string{"-f", filepath.Join(dir, "conf")}
	if name == "nginx" {
		args = []string{"-c", filepath.Join(dir, "conf"), "-e", "stderr", "-p", dir}
		conf = nginxIn(dir, conf)
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
			return "the proxy does not answer"
		}
		return ""
	})
	return addr
}

// nginxIn returns a guide's configuration of nginx as it can run in a test, with its files
// in a folder.
func nginxIn(dir, conf string) string {
	temporary := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	conf = "daemon off; pid " + dir + "/pid; error_log stderr;\n" +
		strings.Replace(conf, "http {\n", "http {\naccess_log off;\n"+temporary, 1)
	if os.Geteuid() == 0 {
		conf = "user root;\n" + conf
	}
	return conf
}

// status returns the status of the answer, or 0 if there is none.
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
