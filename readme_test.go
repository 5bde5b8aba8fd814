package sse_test

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readme returns the README's blocks of a language.
func readme(t *testing.T, language string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		blocks = append(blocks, m[1])
	}
	if blocks == nil {
		t.Fatalf("the README has no %s", language)
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

// The README's first program is the one in internal/quickstart, and its other
// code is compiled with these tests.
func TestReadme(t *testing.T) {
	blocks := readme(t, "go")
	if blocks[0] != readFile(t, "internal/quickstart/main.go") {
		t.Error("the first program is not that of internal/quickstart")
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

// The README's first program, run: what curl prints is what it sends.
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
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	var response *http.Response
	eventually(t, 10*time.Second, "it serves", func() (ok bool) {
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
	// The ids, and the time, are of the day.
	same := func(s string) string {
		s = regexp.MustCompile(`(?m)^id: [0-9a-z]+-[0-9a-z]+$`).ReplaceAllString(s, "id")
		return regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(s, "time")
	}
	if same(got.String()) != same(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
