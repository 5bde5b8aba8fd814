package main

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDoctorBehindNginx examines nginx with its default configuration in front
// of a server that sends no X-Accel-Buffering. The doctor names nginx and the fix;
// the last request is for a stream that has it.
func TestDoctorBehindNginx(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	proxy := behind(t, server, "nginx", "nginx-light", func(dir, addr, upstream string) (conf string, args []string) {
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;"
		}
		return fmt.Sprintf(`
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
	server {
		listen %s;
		location / { proxy_pass http://%s; }
	}
}
`, user, dir, addr, upstream), []string{"-p", dir, "-c"}
	})
	findings, code := examine(t, proxy+"/ticks", "2s")
	has(t, findings, "answer", broken, "not even the head")
	has(t, findings, "answer", broken, "nginx buffers responses by default")
	has(t, findings, "answer", broken, "X-Accel-Buffering: no")
	has(t, findings, "answer", broken, "proxy_buffering off")
	has(t, findings, "proxies", fine, "nginx")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}

	findings, _ = examine(t, proxy+"/ticks?for=2500ms", "1m") // nginx lets go at the end
	has(t, findings, "delivery", broken, "nginx buffers responses by default")

	findings, code = examine(t, proxy+"/set", "10s") // this one has the header
	has(t, findings, "delivery", fine, "at once")
	has(t, findings, "buffering", fine, "nginx passes the stream on")
	has(t, findings, "resume", fine, "continues")
	if code != 0 {
		t.Errorf("exit code %d: %+v", code, findings)
	}
}

// TestDoctorBehindHAProxy examines HAProxy, which does not buffer, but closes
// silent connections.
func TestDoctorBehindHAProxy(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	proxy := behind(t, server, "haproxy", "haproxy", func(_, addr, upstream string) (conf string, args []string) {
		return fmt.Sprintf(`
defaults
	mode http
	timeout connect 2s
	timeout client 1m
	timeout server 5s
listen streams
	bind %s
	server one %s
`, addr, upstream), []string{"-db", "-f"}
	})
	findings, code := examine(t, proxy+"/set", "10s")
	has(t, findings, "delivery", fine, "at once")
	has(t, findings, "resume", fine, "continues")
	if code != 0 {
		t.Errorf("exit code %d: %+v", code, findings)
	}
	findings, _ = examine(t, proxy+"/silent", "1m")
	has(t, findings, "end", broken, "timeout server")
}

// behind starts a proxy in front of the server and returns its origin.
func behind(t *testing.T, server *httptest.Server, program, pkg string, configure func(dir, addr, upstream string) (conf string, args []string)) (origin string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil { // Debian's place for it
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("%s is not installed; with apt: apt-get install %s", program, pkg)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	conf, args := configure(dir, addr, server.Listener.Addr().String())
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, file)...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt) // nginx's fast shutdown
		cmd.Wait()
	})
	eventually(t, program+" answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "http://" + addr
}
