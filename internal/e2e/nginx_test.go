package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.org/sse"
)

// By default nginx buffers what a server sends, including the head, and with gzip on
// it also compresses. The stream's headers turn the buffering off.
func TestBehindNginx(t *testing.T) {
	group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) { return []sse.Event{{Data: "snapshot"}}, nil }}
	server := httptest.NewServer(&group)
	defer server.Close()
	defer group.CloseAll()
	proxy := startNginx(t, server.Listener.Addr().String())

	// Without the headers nginx buffers: otherwise this test proves nothing.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := openStream(ctx, proxy+"/deaf/events"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nginx does not buffer: got error %v, want %v", err, context.DeadlineExceeded)
	}

	s, err := openStream(t.Context(), proxy+"/events")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.sees("data: snapshot") {
		t.Fatal("no snapshot")
	}
	if !s.Uncompressed {
		t.Error("nginx did not compress: a part of the test is missing")
	}
	// Nothing follows the event, so that a buffer would hold it back until the test's
	// timeout.
	group.Dispatch("", "through nginx")
	if !s.sees("data: through nginx") {
		t.Error("the stream ended without the event")
	}
}

// A stream is read line by line, as curl would print it.
type stream struct {
	*http.Response
	lines *bufio.Scanner
}

func openStream(ctx context.Context, url string) (*stream, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // asks for gzip, as browsers do
	if err != nil {
		return nil, err
	}
	return &stream{resp, bufio.NewScanner(resp.Body)}, nil
}

func (s *stream) Close() { s.Body.Close() }

// sees reads until a line has the text.
func (s *stream) sees(text string) bool {
	for s.lines.Scan() {
		if strings.Contains(s.lines.Text(), text) {
			return true
		}
	}
	return false
}

// startNginx starts nginx in front of a server and returns its origin. Below
// /deaf/ it does not listen to what the server says about buffering.
func startNginx(t *testing.T, upstream string) (origin string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no nginx")
		}
		t.Skip("there is no nginx; with apt: apt-get install nginx-light")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	dir := t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "nginx.conf")
	err = os.WriteFile(conf, fmt.Appendf(nil, `
daemon off; %s
pid %s/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	gzip on;
	gzip_types *;
	server {
		listen %s;
		location / { proxy_pass http://%s/; }
		location /deaf/ { proxy_pass http://%[4]s/; proxy_ignore_headers X-Accel-Buffering; }
	}
}
`, user, dir, addr, upstream), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", conf, "-p", dir)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt) // a fast shutdown
		cmd.Wait()
	})
	eventually(t, soon, func() string {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err.Error()
		}
		c.Close()
		return ""
	})
	return "http://" + addr
}
