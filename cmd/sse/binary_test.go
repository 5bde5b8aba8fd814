package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program itself: signals, and the shell's completion.
func TestBinary(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sse")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, row := range []struct {
		args string
		code int
		err  string
	}{
		{"tail URL", 130, "sse: interrupted\n"},
		{"doctor --wait 1h URL", 130, "sse: interrupted\n"},
		{"bench -c 1 -d 1h URL", 0, ""},
		{"send 127.0.0.1:0", 0, "serving"},
	} {
		t.Run(row.args, func(t *testing.T) {
			asked := make(chan struct{}, 10)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sendHead(w)
				asked <- struct{}{}
				<-r.Context().Done()
			}))
			defer server.Close()
			defer server.CloseClientConnections()
			var out, stderr lockedBuffer
			cmd := exec.Command(program, strings.Fields(strings.Replace(row.args, "URL", server.URL, 1))...)
			cmd.Stdout, cmd.Stderr = &out, &stderr
			in, err := cmd.StdinPipe() // which stays open
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it works", func() bool { return len(asked) > 0 || strings.Contains(stderr.String(), "serving") })
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
			if cmd.ProcessState.ExitCode() != row.code || !strings.Contains(stderr.String(), row.err) {
				t.Errorf("%v, out %s, err %s", cmd.ProcessState, out.String(), stderr.String())
			}
		})
	}
	for _, row := range []struct{ line, want string }{
		{"sse ta", "tail"},
		{"sse do", "doctor"},
		{"sse tail --last", "--last-event-id"},
	} {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "COMP_LINE="+row.line)
		if out, err := cmd.CombinedOutput(); strings.TrimSpace(string(out)) != row.want {
			t.Errorf("%s: got %s, %v; want %s", row.line, out, err, row.want)
		}
	}
	if out, err := exec.Command(program, "completion", "-c", "bash").CombinedOutput(); err != nil || !strings.Contains(string(out), "complete") {
		t.Errorf("%s, %v", out, err)
	}
}
