package sse_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readme returns the README's code blocks in a language.
func readme(t *testing.T, language string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		blocks = append(blocks, m[1])
	}
	if blocks == nil {
		t.Fatalf("the README has no block of %s", language)
	}
	return blocks
}

func readFile(t *testing.T, name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The README's first program equals internal/quickstart, and its other code is
// compiled with these tests.
func TestReadme(t *testing.T) {
	blocks := readme(t, "go")
	if blocks[0] != readFile(t, "internal/quickstart/main.go") {
		t.Error("the first program differs from internal/quickstart")
	}
	flat := func(code string) string {
		return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(code, "")
	}
	compiled := flat(readFile(t, "readme_code_test.go"))
	for _, block := range blocks[1:] {
		if !strings.Contains(compiled, flat(block)) {
			t.Errorf("not in readme_code_test.go:\n%s", block)
		}
	}
}

// The README's commands set up a new module in which its first program compiles.
func TestReadmeSetup(t *testing.T) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "clock")
	if err := errors.Join(os.Mkdir(dir, 0o777), os.Symlink(root, filepath.Join(dir, "..", "sse")),
		os.WriteFile(filepath.Join(dir, "main.go"), []byte(readme(t, "go")[0]), 0o666)); err != nil {
		t.Skip(err) // no symbolic links
	}
	for line := range strings.Lines(readme(t, "sh")[0] + "go build -o clock .\n") {
		cmd := exec.Command("go", strings.Fields(line)[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// The README's first program sends what the README says that curl prints, and
// ends with success on SIGTERM: each of 50 streams has got a clean end by then.
func TestQuickstart(t *testing.T) {
	if conn, err := net.Dial("tcp", "localhost:8080"); err == nil {
		conn.Close()
		t.Skip("port 8080 is taken")
	}
	program := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.Command("go", "build", "-o", program, "./internal/quickstart").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command(program)
	server.Stderr = t.Output()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	var response *http.Response
	eventually(t, 10*time.Second, "the program serves", func() (ok bool) {
		var err error
		response, err = http.Get("http://localhost:8080/events")
		return err == nil
	})
	defer response.Body.Close()
	_, want, _ := strings.Cut(readme(t, "console")[0], "\n") // what follows the command
	var got strings.Builder
	lines := bufio.NewScanner(response.Body)
	for strings.Count(got.String(), "\n") < strings.Count(want, "\n") && lines.Scan() {
		got.WriteString(lines.Text() + "\n")
	}
	// The ids and the times differ from run to run.
	same := func(s string) string {
		s = regexp.MustCompile(`(?m)^id: [0-9a-z]+-[0-9a-z]+$`).ReplaceAllString(s, "id")
		return regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(s, "time")
	}
	if same(got.String()) != same(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if runtime.GOOS == "windows" {
		return // no SIGTERM
	}
	streams := openQuickstart(t, 50)
	server.Process.Signal(syscall.SIGTERM)
	for i, stream := range streams {
		rest, err := io.ReadAll(stream)
		if last := regexp.MustCompile(`(?m)^retry: \d+\n\z`); err != nil || !last.Match(rest) {
			t.Errorf("stream %d: got %q, error %v; want a reconnection time and a clean end", i, rest, err)
		}
	}
	for lines.Scan() { // until the first stream's clean end
	}
	if err := errors.Join(lines.Err(), server.Wait()); err != nil {
		t.Errorf("got %v after a SIGTERM, want a clean end", err)
	}
}

// openQuickstart opens streams, and waits until each has got an event.
func openQuickstart(t *testing.T, n int) (streams []*bufio.Reader) {
	t.Helper()
	for range n {
		response, err := http.Get("http://localhost:8080/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		if runtime.GOOS == "linux" && !response.Close {
			t.Error("the stream will not be detached: its head does not say Connection: close")
		}
		streams = append(streams, bufio.NewReader(response.Body))
	}
	for _, stream := range streams {
		for line := ""; !strings.HasPrefix(line, "data: "); {
			var err error
			if line, err = stream.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	return streams
}
