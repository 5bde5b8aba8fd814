package main

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDoctorBehindNginx examines nginx with its default configuration in front
// of a server that sends no X-Accel-Buffering. The doctor names nginx and the fix;
// the last request is for a stream that has it.
func TestDoctorBehindNginx(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	proxy := behind(t, server, "nginx", "nginx-light", nginx("proxy_pass http://%s;"))
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

// nginx returns a configuration of nginx with the given directives for all paths, in
// which %s is the address of the server.
func nginx(directives string) func(dir, addr, upstream string) (conf string, args []string) {
	return func(dir, addr, upstream string) (conf string, args []string) {
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
	gzip_proxied any;
	gzip_types text/event-stream;
	gzip_min_length 0;
	server {
		listen %s;
		location / { %s }
	}
}
`, user, dir, addr, fmt.Sprintf(directives, upstream)), []string{"-p", dir, "-c"}
	}
}

// TestDoctorBehindCompression examines nginx and Apache that compress streams,
// although the stream has no-transform, and then tries the advice.
func TestDoctorBehindCompression(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	apache := func(directive string) func(dir, addr, upstream string) (conf string, args []string) {
		return func(dir, addr, upstream string) (conf string, args []string) {
			const modules = "/usr/lib/apache2/modules/mod_"
			user := ""
			if os.Geteuid() == 0 {
				user = "User nobody\nGroup nogroup"
			}
			return fmt.Sprintf(`
ServerRoot %s
ServerName localhost
PidFile pid
Listen %s
ErrorLog /dev/stderr
LoadModule mpm_event_module %smpm_event.so
LoadModule authz_core_module %[3]sauthz_core.so
LoadModule proxy_module %[3]sproxy.so
LoadModule proxy_http_module %[3]sproxy_http.so
LoadModule filter_module %[3]sfilter.so
LoadModule deflate_module %[3]sdeflate.so
LoadModule env_module %[3]senv.so
%s
ProxyPass / http://%s/
AddOutputFilterByType DEFLATE text/event-stream
<Location /set>
%s
</Location>
`, dir, addr, modules, user, upstream, directive), []string{"-D", "FOREGROUND", "-f"}
		}
	}
	for _, row := range []struct {
		program, pkg  string
		before, after func(dir, addr, upstream string) (conf string, args []string)
		advice        string
	}{
		{"nginx", "nginx-light", nginx("proxy_pass http://%s; gzip on;"), nginx("proxy_pass http://%s; gzip off;"), "gzip off;"},
		{"apache2", "apache2-bin", apache(""), apache("SetEnv no-gzip 1"), "SetEnv no-gzip 1"},
	} {
		findings, _ := examine(t, behind(t, server, row.program, row.pkg, row.before)+"/set", "10s")
		has(t, findings, "compression", minor, row.advice)
		has(t, findings, "delivery", fine, "at once")
		if fix := findings["compression"].Fix; strings.Contains(fix, "Cache-Control") {
			t.Errorf("%s: got %s, which is useless", row.program, fix)
		}
		findings, _ = examine(t, behind(t, server, row.program, row.pkg, row.after)+"/set", "10s")
		has(t, findings, "compression", fine, "none")
	}
}

// TestDoctorBehindLighttpd examines lighttpd with its default configuration, which
// buffers whatever the headers say, and then tries the advice.
func TestDoctorBehindLighttpd(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	lighttpd := func(directive string) func(dir, addr, upstream string) (conf string, args []string) {
		return func(dir, addr, upstream string) (conf string, args []string) {
			host, port, _ := net.SplitHostPort(addr)
			upHost, upPort, _ := net.SplitHostPort(upstream)
			return fmt.Sprintf(`
server.document-root = "%s"
server.bind = "%s"
server.port = %s
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "%s", "port" => %s)))
%s
`, dir, host, port, upHost, upPort, directive), []string{"-D", "-f"}
		}
	}
	const advice = "server.stream-response-body = 1"
	proxy := behind(t, server, "lighttpd", "lighttpd", lighttpd(""))
	for _, path := range []string{"/ticks", "/set"} {
		findings, _ := examine(t, proxy+path, "2s")
		has(t, findings, "answer", broken, "not even the head")
		has(t, findings, "answer", broken, advice)
		has(t, findings, "proxies", fine, "lighttpd")
		if fix := findings["answer"].Fix; strings.Contains(fix, "X-Accel") || strings.Contains(fix, "Cache-Control") {
			t.Errorf("%s: got %s, which is useless", path, fix)
		}
	}
	findings, _ := examine(t, proxy+"/ticks?for=2500ms", "1m") // lighttpd lets go at the end
	has(t, findings, "delivery", broken, advice)

	proxy = behind(t, server, "lighttpd", "lighttpd", lighttpd(advice))
	findings, _ = examine(t, proxy+"/ticks", "10s")
	has(t, findings, "delivery", fine, "at once")
	has(t, findings, "buffering", fine, "lighttpd passes the stream on")
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
		cmd.Process.Signal(syscall.SIGTERM) // without waiting for streams
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
