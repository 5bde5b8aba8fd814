package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"example.org/sse"
)

// Streams over HTTP/3 keep their handlers, and are like others; also at a shutdown, with
// the lines of docs/servers.md.
func TestHTTP3(t *testing.T) {
	const streams, events = 5, 200
	var group sse.Set
	s := startHTTP3(t, &group)
	before := sse.ReadStats().NotDetached["HTTP/3"]
	opened := openStreams(t, s.client, s.origin+"/events", streams)
	awaitMembers(t, &group, streams)
	eventually(t, soon, func() string {
		stats := sse.ReadStats()
		if n := stats.NotDetached["HTTP/3"] - before; stats.Attached != streams || stats.Detached != 0 || n != streams {
			return fmt.Sprintf("%+v, %d not detached, want %d attached", stats, n, streams)
		}
		return ""
	})
	for i := range events {
		group.Dispatch("", fmt.Sprint(i))
	}
	var id string
	for n, s := range opened {
		for i := range events {
			id = wantEvent(t, n, s, i)
		}
	}

	opened[0].Close()
	awaitMembers(t, &group, streams-1)
	group.Dispatch("", fmt.Sprint(events))
	resumed := openStreams(t, s.client, s.origin+"/events?lastEventId="+id, 1)[0]
	wantEvent(t, 0, resumed, events)
	awaitMembers(t, &group, streams)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- shutDownBoth(ctx, s.srv, s.h3) }()
	wantRetries(t, append(opened[1:], resumed))
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestHTTP3Stalled(t *testing.T) {
	var group sse.Set
	s := startHTTP3(t, &group)
	endStalled(t, &group, s.client, s.origin+"/events")
}

// A silent stream outlives QUIC's idle timeout.
func TestHTTP3Silence(t *testing.T) {
	skipShort(t)
	var group sse.Set
	s := startHTTP3(t, &group)
	s.transport.QUICConfig = &quic.Config{MaxIdleTimeout: 8 * time.Second} // holds for both ends
	silent := openStreams(t, s.client, s.origin+"/events", 1)[0]
	awaitMembers(t, &group, 1)
	time.Sleep(12 * time.Second) // silence
	group.Dispatch("", "0")
	wantEvent(t, 0, silent, 0)
	group.CloseAll()
	wantEnds(t, []*stream{silent})
}

// servers returns the servers of docs/servers.md.
func servers(handler http.Handler, config *tls.Config) (*http.Server, *http3.Server) {
	srv := &http.Server{Addr: ":443", Handler: handler, TLSConfig: config}
	h3 := &http3.Server{
		Addr:       ":443",
		Handler:    handler,
		TLSConfig:  http3.ConfigureTLSConfig(config),
		QUICConfig: &quic.Config{KeepAlivePeriod: 10 * time.Second},
		ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
			return context.WithValue(ctx, http.ServerContextKey, srv) // whose Shutdown ends the streams
		},
	}
	return srv, h3
}

// shutDownBoth is that page's as well.
func shutDownBoth(ctx context.Context, srv *http.Server, h3 *http3.Server) error {
	err := errors.Join(srv.Shutdown(ctx), h3.Shutdown(ctx))
	return err
}

type http3Site struct {
	srv       *http.Server
	h3        *http3.Server
	origin    string
	client    *http.Client
	transport *http3.Transport
}

// startHTTP3 starts the page's servers, of which srv serves nobody.
func startHTTP3(t *testing.T, handler http.Handler) *http3Site {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	config := &tls.Config{Certificates: certified.TLS.Certificates}
	certified.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &http3Site{
		origin:    "https://" + udp.LocalAddr().String(),
		transport: &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // on loopback
	}
	s.client = &http.Client{Transport: s.transport}
	s.srv, s.h3 = servers(handler, config)
	served := make(chan error, 1)
	go func() { served <- s.h3.Serve(udp) }()
	t.Cleanup(func() {
		s.transport.Close()
		s.h3.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		udp.Close()
	})
	return s
}
