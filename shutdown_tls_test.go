package sse_test

import (
	"context"
	"crypto/tls"
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
			server := &http.Server{
				Addr:      freeAddress(t),
				Handler:   &group,
				TLSConfig: &tls.Config{Certificates: certificates},
			}
			if !tt.http2 { // the other ways to have a certificate count as well
				config := server.TLSConfig
				server.TLSConfig = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil }}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			served := make(chan error, 1)
			go func() { served <- sse.ListenAndServe(ctx, server) }()
			transport := &http.Transport{ForceAttemptHTTP2: tt.http2, TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			site := &site{t: t, client: &http.Client{Transport: transport}}
			listening(t, server.Addr)

			st := site.openURL("https://" + server.Addr)
			if st.response.Proto != tt.name {
				t.Errorf("got %s", st.response.Proto)
			}
			stop()
			st.wantEnd()
			if err := <-served; err != nil {
				t.Errorf("ListenAndServe: %v", err)
			}
		})
	}
}
