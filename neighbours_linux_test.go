package sse_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.org/sse"
)

// A client with Multipath TCP, which Go's listeners offer, is one like any other.
func TestMultipathTCP(t *testing.T) {
	handler, sources := connected(nil)
	server := httptest.NewUnstartedServer(handler)
	var config net.ListenConfig
	config.SetMultipathTCP(true)
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = sse.Listener(l)
	server.Start()
	defer server.Close()
	before := quietStats(t)
	multipath := false
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		dialer.SetMultipathTCP(true)
		c, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			multipath, err = c.(*net.TCPConn).MultipathTCP()
		}
		return c, err
	}}}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if !multipath {
		t.Skip("the machine has no MPTCP")
	}
	source := <-sources
	eventually(t, 10*time.Second, "it is detached", func() bool { return sse.ReadStats().Detached == before.Detached+1 })
	source.Dispatch("", "x")
	if e, err := newDecoder(response.Body).next(); err != nil || e.data != "x" {
		t.Errorf("got %q, error %v", e.data, err)
	}
	source.Close()
}
