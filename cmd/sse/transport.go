package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// transport returns a new transport that opens a connection for each request, and does
// not ask for compressed responses by itself. A request fails if its response headers do
// not arrive within timeout; 0 means no limit.
func (e *endpoint) transport(timeout time.Duration) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = timeout
	t.MaxIdleConnsPerHost = -1
	t.DisableCompression = true
	var err error
	if t.TLSClientConfig, err = e.tls(); err != nil {
		return nil, err
	}
	if t.Proxy, err = proxies(); err != nil {
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

// proxies returns the transport's Proxy: what the environment variables HTTP_PROXY,
// HTTPS_PROXY, NO_PROXY and, as in curl, ALL_PROXY say.
func proxies() (func(*http.Request) (*url.URL, error), error) {
	config := httpproxy.FromEnvironment()
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	config.HTTPProxy, config.HTTPSProxy = cmp.Or(config.HTTPProxy, all), cmp.Or(config.HTTPSProxy, all)
	for _, proxy := range []struct{ name, text string }{
		{"HTTP_PROXY", config.HTTPProxy},
		{"HTTPS_PROXY", config.HTTPSProxy},
	} {
		name, text := proxy.name, proxy.text
		if text == all {
			name = "ALL_PROXY"
		}
		if text != "" && !scheme.MatchString(text) {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		if err != nil {
			return nil, usage("%s: %q is not a valid URL", name, maskInvalid(text))
		}
		switch u.Scheme {
		case "", "http", "https", "socks5", "socks5h":
		default:
			return nil, usage("%s: the proxy %q is not an http, https, socks5 or socks5h URL", name, redacted(u))
		}
	}
	proxy := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }, nil
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
		return nil, usage("--cert: %s", plain(err))
	}
	config.Certificates = []tls.Certificate{certificate}
	return config, nil
}
