package e2e

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// keepingProxies are what may be in front of a server, each of which keeps connections to
// it for the next request. They return their address.
var keepingProxies = []struct {
	name  string
	start func(t *testing.T, upstream string) (addr string)
}{
	{"nginx", func(t *testing.T, upstream string) string { return nginxKeepsAlive(t, upstream, "") }},
	{"haproxy", func(t *testing.T, upstream string) string { return haproxyReuses(t, upstream, "") }},
	{"caddy", func(t *testing.T, upstream string) string { return caddyProxies(t, upstream, "") }},
	{"ReverseProxy", reverseProxy},
	{"none", func(_ *testing.T, upstream string) string { return upstream }},
}

// The proxies have a line of the caller's own in their configuration.

func nginxKeepsAlive(t *testing.T, upstream, line string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	return startProxy(t, "nginx", []string{"-e", "stderr", "-c"}, func(dir, addr string) string {
		return fmt.Sprintf(`
daemon off; %s
pid %s/pid;
error_log stderr crit; # connections that a server closes as it shuts down are errors
events {}
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	upstream app {
		server %s;
		keepalive 64;
	}
	server {
		listen %s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			%s
		}
	}
}
`, user, dir, upstream, addr, line)
	})
}

func haproxyReuses(t *testing.T, upstream, line string) string {
	return startProxy(t, "haproxy", []string{"-db", "-f"}, func(_, addr string) string {
		return fmt.Sprintf(`
defaults
	mode http
	option http-no-delay
	http-reuse always
	timeout connect 1m
	timeout client 5m
	timeout server 5m
listen app
	bind %s
	server one %s
	%s
`, addr, upstream, line)
	})
}

func caddyProxies(t *testing.T, upstream, line string) string {
	return startProxy(t, "caddy", []string{"run", "--adapter", "caddyfile", "--config"}, func(dir, addr string) string {
		return fmt.Sprintf(`
{
	admin off
	auto_https off
	storage file_system %s
	log {
		level FATAL
	}
}
http://%s {
	reverse_proxy %s
	%s
}
`, dir, addr, upstream, line)
	})
}

func reverseProxy(t *testing.T, upstream string) string {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	transport := keepingTransport()
	proxy.Transport = transport
	proxy.ErrorLog = log.New(t.Output(), "", 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without it net/http may close the body of a POST, once that is answered, while the
		// transport still looks for its end, and the transport cuts the answer off.
		http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.Listener.Addr().String()
}

// startProxy starts a program with a configuration file, whose name is its last argument,
// and stops it when the test ends.
func startProxy(t *testing.T, name string, args []string, configure func(dir, addr string) string) (addr string) {
	t.Helper()
	path := find(t, name)
	dir, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte(configure(dir, addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, append(args, conf)...)
	cmd.Stderr = t.Output()
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	eventually(t, soon, func() string {
		c, err := net.Dial("tcp", addr) //nolint:noctx // on loopback
		if err != nil {
			return err.Error()
		}
		c.Close()
		return ""
	})
	return addr
}
