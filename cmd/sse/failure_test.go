package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveTLS serves mirror over TLS. Clients must have a certificate if auth says so.
func serveTLS(t *testing.T, auth tls.ClientAuthType) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(mirror))
	server.TLS = &tls.Config{ClientAuth: auth}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports the failed handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// serveBytes answers each connection with the same bytes, and closes it.
func serveBytes(t *testing.T, answer string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 1<<10))
				io.WriteString(c, answer)
			}()
		}
	}()
	return l.Addr().String()
}

// TestFailuresInWords checks that doctor, tail and bench name the cause.
func TestFailuresInWords(t *testing.T) {
	secured, plain := serveTLS(t, tls.NoClientCert), httptest.NewServer(http.HandlerFunc(mirror))
	defer plain.Close()
	files := t.TempDir()
	ca, key := filepath.Join(files, "ca.pem"), filepath.Join(files, "key.pem")
	writePEM(t, secured, ca, key)
	wanting := serveTLS(t, tls.RequireAnyClientCert)
	_, port, _ := net.SplitHostPort(secured.Listener.Addr().String())
	closing, garbage := serveBytes(t, ""), serveBytes(t, "SSH-2.0-OpenSSH\r\n")
	alert := serveBytes(t, "\x15\x03\x01\x00\x02\x02\x46")
	for _, row := range []struct{ args, what, fix string }{
		{secured.URL, "is self-signed", "-k trusts any certificate"},
		{"--cacert " + ca + " https://localhost:" + port, "the server's certificate is for example.com, *.example.com, 127.0.0.1, ::1, not for localhost", "Use a name that"},
		{"--cacert " + ca + " " + secured.URL, "", ""},
		{"-k " + secured.URL, "", ""},
		{"-k " + wanting.URL, "the server wants a client certificate", "--cert and --key"},
		{"-k --cert " + ca + " --key " + key + " " + wanting.URL, "", ""},
		{strings.Replace(plain.URL, "http:", "https:", 1), "the port speaks plain HTTP, not TLS", "Write http://"},
		{strings.Replace(secured.URL, "https:", "http:", 1), "400 Bad Request", "Write https://"},
		{"http://" + alert, "the port speaks TLS, not plain HTTP", "Write https://"},
		{"https://" + garbage, "the port does not speak TLS", "Check the port"},
		{"http://" + garbage, "does not answer in HTTP/1.1", "Check the port"},
		{"http://" + closing, "closed the connection without an answer", "log"},
		{refused(t), "nothing listens there (connection refused)", "Check that the server is running"},
	} {
		for _, name := range []string{"doctor --wait 1m", "tail -n 1", "bench -c 1 -d 1ms"} {
			p := command(t, "", strings.Fields(name+" "+row.args)...)
			got := p.out.String() + p.err.String()
			words := strings.Join(strings.Fields(got), " ")
			if (row.what == "") != (p.code == 0) || !strings.Contains(words, row.what) || name[0] == 'd' && !strings.Contains(words, row.fix) {
				t.Errorf("%s %s: exit code %d, got %s\nwant %s; %s", name, row.args, p.code, got, row.what, row.fix)
			}
			for _, goism := range []string{"tcp ", "x509", "net/http", "EOF", "Get \"", "tls:"} {
				if strings.Contains(got, goism) {
					t.Errorf("%s %s: %q in %s", name, row.args, goism, got)
				}
			}
		}
	}
}

// writePEM writes the certificate and the key of a server.
func writePEM(t *testing.T, server *httptest.Server, ca, key string) {
	cert := server.TLS.Certificates[0]
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := os.WriteFile(ca, file, 0o600); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := os.WriteFile(key, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFailureTexts checks the errors that a test cannot provoke.
func TestFailureTexts(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err} }
	expired := &x509.Certificate{NotBefore: time.Unix(0, 0).UTC(), NotAfter: time.Unix(1e9, 0).UTC()}
	for _, row := range []struct {
		err  error
		want string
	}{
		{dial(syscall.ECONNREFUSED), "nothing listens at 192.0.2.1:80 (connection refused)"},
		{dial(syscall.ETIMEDOUT), "nothing answers at 192.0.2.1:80 (connection timed out)"},
		{dial(syscall.EHOSTUNREACH), "there is no route to the server at 192.0.2.1:80"},
		{&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(syscall.ECONNREFUSED)}, "the proxy: nothing listens at 192.0.2.1:80 (connection refused)"},
		{&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, "the connection was reset"},
		{&net.DNSError{Name: "x.test", IsNotFound: true}, "the host name x.test is unknown"},
		{&net.DNSError{Name: "x.test", IsTimeout: true}, "the name server did not answer for x.test"},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{expired}, Err: x509.CertificateInvalidError{Cert: expired, Reason: x509.Expired}},
			"the server's certificate has expired, or is not valid yet: it is valid from 1970-01-01 to 2001-09-09"},
		{errors.New("remote error: tls: unrecognized name"), "the server refused the TLS handshake: unrecognized name"},
		{errors.New("stream error: stream ID 1; INTERNAL_ERROR; received from peer"), "the server broke the stream off"},
		{fmt.Errorf("sse: stream failed (not retried): %w", io.ErrUnexpectedEOF), "the connection was cut"},
		{fmt.Errorf("sse: stream failed (not retried): %w", errors.New("some reason")), "some reason"},
		{&url.Error{Op: "Get", URL: "http://x", Err: errors.New("http: some reason")}, "some reason"},
	} {
		if got := failureOf(row.err).what; got != row.want {
			t.Errorf("%v: got %s, want %s", row.err, got, row.want)
		}
	}
}

// TestDoctorWithoutAConnection checks that the doctor does not suspect a buffer where
// there is no connection that could have one.
func TestDoctorWithoutAConnection(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts its connections
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, row := range []struct{ url, what, fix string }{
		{"http://" + memory.host + ":9/", "no connection within 2s", "firewall"},
		{"https://" + silent.Addr().String(), "the server did not finish the TLS handshake within 2s", "speaks TLS"},
		{"http://" + silent.Addr().String(), "no response within 2s, not even the head", "buffer"},
	} {
		findings, _ := examine(t, row.url, "2s")
		has(t, findings, "answer", broken, row.what)
		has(t, findings, "answer", broken, row.fix)
	}
}
