package e2e

import (
	"bufio"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.org/sse/internal/postgres"
)

// Who follows the guide from an empty module gets two processes that agree, also after one
// was killed and started again.
func TestScalingPostgres(t *testing.T) {
	t.Parallel()
	server, err := postgres.New(t.Context(), "fsync=off")
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	commands := guide(t, "scaling.md", "sh")
	if _, err := conn.Exec(t.Context(), regexp.MustCompile("'(CREATE TABLE .*)'").FindStringSubmatch(commands[1])[1]); err != nil {
		t.Fatal(err)
	}
	program, env := pasted(t, commands[0]+"go build -o node ."), "DATABASE_URL="+server.URL("postgres")
	one, two := startSite(t, program, env), startSite(t, program, env)
	first := one.stream(t)
	second := two.stream(t)
	say := func(s *site, text string, want int, streams ...*stream) {
		t.Helper()
		r, err := http.PostForm("http://"+s.addr+"/say", url.Values{"text": {text}}) //nolint:noctx // on loopback
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("say %q: got %s, want %d", text, r.Status, want)
		}
		for i, stream := range streams {
			if !stream.sees("data: " + text) {
				t.Errorf("stream %d has not got %q", i, text)
			}
		}
	}
	say(one, "hello", http.StatusOK, second)
	if !first.sees("id: ") {
		t.Fatal("the first event has no id")
	}
	id := strings.TrimPrefix(first.lines.Text(), "id: ")
	say(one, "not \x00 saved", http.StatusServiceUnavailable)
	say(two, "again", http.StatusOK, first, second)
	one.cmd.Process.Kill()
	<-one.ended
	say(two, "meanwhile", http.StatusOK, second)
	one = startSite(t, program, env)
	resumed := resume(t, "http://"+one.addr+"/events", id)
	if !resumed.sees("data: meanwhile") {
		t.Error("the client that resumes has not got what was said meanwhile")
	}
	say(one, "at last", http.StatusOK, resumed, second)
}

// resume opens a stream after an event.
func resume(t *testing.T, url, id string) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Last-Event-ID", id)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &stream{Response: resp, lines: bufio.NewScanner(resp.Body)}
}

// pasted returns the path of the guide's program, made by its commands in an empty module.
func pasted(t *testing.T, commands string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "site")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Symlink(root, filepath.Join(dir, "..", "sse")),
		os.WriteFile(filepath.Join(dir, "main.go"), []byte(guide(t, "scaling.md", "go")[2]), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "node")
}
