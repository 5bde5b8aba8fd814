//go:build linux

package subject

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"
)

// startCentrifuge subscribes each client on the server's side, so that the
// stream needs no second request: what its SSE handler sends is then one way.
func startCentrifuge(l net.Listener) (Server, error) {
	const channel = "bench"
	registry := prometheus.NewRegistry() // a process of tests has several nodes
	node, err := centrifuge.New(centrifuge.Config{
		Metrics: centrifuge.MetricsConfig{RegistererGatherer: registry},
	})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	events := centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{
		PingPongConfig: centrifuge.PingPongConfig{PongTimeout: -1}, // clients that only read answer no ping
	})
	connect := "cf_connect=" + url.QueryEscape(`{"id":1,"connect":{}}`)
	handler := func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = connect // which its clients would have in the URL
		events.ServeHTTP(w, r)
	}
	s := serve(l, http.HandlerFunc(handler), func(data string) error {
		_, err := node.Publish(channel, fmt.Appendf(nil, "%q", data))
		return err
	})
	return &centrifugeServer{s, node}, nil
}

type centrifugeServer struct {
	*hosted
	node *centrifuge.Node
}

// Shutdown closes the clients first, as the examples of centrifuge do.
func (s *centrifugeServer) Shutdown(ctx context.Context) error {
	return errors.Join(s.node.Shutdown(ctx), s.hosted.Shutdown(ctx))
}
