package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"time"
)

// transport returns a new transport that opens a connection for each request. A
// request fails if its response headers do not arrive within timeout; 0 means no
// limit.
func (e *endpoint) transport(timeout time.Duration) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = timeout
	t.MaxIdleConnsPerHost = -1
	var err error
	if t.TLSClientConfig, err = e.tls(); err != nil {
		return nil, err
	}
	if e.UnixSocket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", e.UnixSocket)
		}
	}
	return t, nil
}

// tls returns the configuration for TLS.
func (e *endpoint) tls() (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: e.Insecure} //nolint:gosec // if the user asks for it
	if e.CACert != "" {
		pem, err := os.ReadFile(e.CACert)
		if err != nil {
			return nil, usage("--cacert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usage("--cacert: %s contains no certificate in PEM format", e.CACert)
		}
	}
	if e.Cert == "" {
		if e.Key != "" {
			return nil, usage("--key needs --cert")
		}
		return config, nil
	}
	key := e.Key
	if key == "" {
		key = e.Cert
	}
	certificate, err := tls.LoadX509KeyPair(e.Cert, key)
	if err != nil {
		return nil, usage("--cert: %w", err)
	}
	config.Certificates = []tls.Certificate{certificate}
	return config, nil
}
