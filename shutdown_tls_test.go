package sse_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.org/sse"
)

// ListenAndServe serves TLS to clients of both versions of HTTP, as net/http
// does; a browser always offers HTTP/2.
func TestListenAndServeTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	certificates := certified.TLS.Certificates
	roots := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	certified.Close()
	for _, tt := range []struct {
		name  string
		http2 bool
	}{{"HTTP/1.1", false}, {"HTTP/2.0", true}} {
		t.Run(tt.name, func(t *testing.T) {
			var group sse.Set
			addr := make(chan string, 10)
			server := &http.Server{
				Addr:      "127.0.0.1:0",
				Handler:   &group,
				TLSConfig: &tls.Config{Certificates: certificates},
				BaseContext: func(l net.Listener) context.Context {
					if a := l.Addr().(*net.TCPAddr); a.Port != 0 {
						addr <- a.String()
					}
					return context.Background() //nolint:usetesting // a server's outlives its test's
				},
			}
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- sse.ListenAndServe(ctx, server) }()
			transport := &http.Transport{ForceAttemptHTTP2: tt.http2, TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()

			response, err := (&http.Client{Transport: transport}).Get("https://" + <-addr)
			if err != nil {
				t.Errorf("no stream: %v", err)
			} else {
				st := &stream{t: t, response: response, decoder: newDecoder(response.Body), cancel: stop}
				if response.Proto != tt.name {
					t.Errorf("got %s", response.Proto)
				}
				stop()
				st.wantEnd()
			}
			stop()
			if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("ListenAndServe: %v", err)
			}
		})
	}
}
