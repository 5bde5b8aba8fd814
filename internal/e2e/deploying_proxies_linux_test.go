package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"example.org/sse"
)

// certify writes a certificate for example.com and its key, and returns the transport of
// a client that trusts it and finds that host at an address. It counts connections.
func certify(t *testing.T, dir string) (transport func(addr string) (*http.Transport, *atomic.Int32)) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"site.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"site.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return func(addr string) (*http.Transport, *atomic.Int32) {
		dials := new(atomic.Int32)
		return &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			},
		}, dials
	}
}

// startTLS starts one of the guide's proxies in front of a server, with a certificate in
// dir, where nginx also writes its pid.
func startTLS(t *testing.T, name, dir, upstream string) (addr string) {
	t.Helper()
	conf := strings.NewReplacer(
		"127.0.0.1:8080", upstream,
		"/etc/ssl", dir,
		"worker_shutdown_timeout 30s", "worker_shutdown_timeout 1s",
	).Replace(guide(t, "deploying.md", map[string]string{"nginx": "nginx", "caddy": "caddyfile"}[name])[0])
	if name == "nginx" {
		return startProxy(t, name, []string{"-e", "stderr", "-c"}, func(_, addr string) string {
			return nginxIn(dir, strings.Replace(conf, "listen 443", "listen "+addr, 1))
		})
	}
	return startProxy(t, name, []string{"run", "--adapter", "caddyfile", "--config"}, func(_, addr string) string {
		_, port, _ := net.SplitHostPort(addr)
		return fmt.Sprintf("{\nadmin off\nauto_https disable_redirects\nhttps_port %s\nstorage file_system %s\nlog {\nlevel ERROR\n}\n}\n", port, dir) +
			strings.Replace(conf, "{\n", fmt.Sprintf("{\ntls %s/site.pem %[1]s/site.key\n", dir), 1)
	})
}

// With the guide's proxies, many streams of a browser share one connection of HTTP/2. They
// are detached, get what is dispatched at once, and leave one by one.
func TestDeployingProxies(t *testing.T) {
	const streams = 50
	for _, name := range []string{"nginx", "caddy"} {
		t.Run(name, func(t *testing.T) {
			dir, before := t.TempDir(), sse.ReadStats().Detached
			var host atomic.Value
			group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
				return []sse.Event{{Data: "snapshot" + strings.Repeat(" of a size that is compressed", 100)}}, nil
			}}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				host.Store(r.Host)
				group.ServeHTTP(w, r)
			}))
			server.Listener = sse.Listener(server.Listener)
			server.Start()
			defer server.Close()
			transport, dials := certify(t, dir)(startTLS(t, name, dir, server.Listener.Addr().String()))
			defer transport.CloseIdleConnections()
			var opened []*stream
			for range streams {
				opened = append(opened, openOver(t, transport))
			}
			see(t, opened, "data: snapshot")
			if got := dials.Load(); got != 1 {
				t.Errorf("got %d connections, want 1", got)
			}
			if got := sse.ReadStats().Detached - before; got != streams {
				t.Errorf("got %d detached streams, want %d: %+v", got, streams, sse.ReadStats())
			}
			if got := host.Load(); got != "example.com" {
				t.Errorf("got host %q, want example.com", got)
			}
			group.Dispatch("", "live") // nothing follows, so that a buffer would hold it back
			see(t, opened, "data: live")
			opened[0].Close()
			awaitMembers(t, &group, streams-1)
			if name == "nginx" {
				reload(t, dir)
				see(t, opened[1:], "")
				awaitMembers(t, &group, 0)
			}
		})
	}
}

// openOver opens a stream over HTTP/2.
func openOver(t *testing.T, transport *http.Transport) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		t.Fatalf("got %s over %s, want 200 over HTTP/2", response.Status, response.Proto)
	}
	return &stream{response, bufio.NewScanner(response.Body)}
}

// see waits until all streams have a line with a text, or have ended if that is empty.
func see(t *testing.T, streams []*stream, text string) {
	t.Helper()
	for i, s := range streams {
		if text == "" {
			for s.lines.Scan() {
				continue
			}
		} else if !s.sees(text) {
			t.Fatalf("stream %d ended without %q: %v", i, text, s.lines.Err())
		}
	}
}

// reload has nginx replace its workers.
func reload(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
