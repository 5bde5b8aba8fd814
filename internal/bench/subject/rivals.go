//go:build linux

package subject

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/centrifugal/centrifuge"
	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/prometheus/client_golang/prometheus"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/starfederation/datastar-go/datastar"
	gosse "github.com/tmaxmax/go-sse"
)

const channel = "bench"

// startGoSSE shuts down by RegisterOnShutdown, as the documentation of Server.Shutdown
// recommends. It flushes a session's head: otherwise that is sent with the first
// event, and until then a browser's EventSource does not open.
func startGoSSE(l net.Listener) (Server, error) {
	events := &gosse.Server{OnSession: func(w http.ResponseWriter, _ *http.Request) ([]string, bool) {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil, http.NewResponseController(w).Flush() == nil
	}}
	s := serve(l, events, func(data string) error {
		m := new(gosse.Message)
		m.AppendData(data)
		return events.Publish(m)
	}, nil)
	s.RegisterOnShutdown(func() {
		events.Shutdown(context.Background()) //nolint:errcheck // the server's Shutdown has a time limit
	})
	return s, nil
}

func startR3labs(l net.Listener) (Server, error) {
	events := r3labs.New()
	events.AutoReplay = false
	events.CreateStream(channel)
	s := serve(l, withQuery("stream="+channel, events), func(data string) error {
		events.Publish(channel, &r3labs.Event{Data: []byte(data)})
		return nil
	}, nil)
	s.RegisterOnShutdown(events.Close)
	return s, nil
}

// withQuery adds the query that the subject's clients would have in the URL.
func withQuery(query string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = query
		h.ServeHTTP(w, r)
	})
}

func startLaunchdarkly(l net.Listener) (Server, error) {
	return startEventSource(l, launchdarkly.NewServer(), func(m message) launchdarkly.Event { return m })
}

func startDonovanhide(l net.Listener) (Server, error) {
	return startEventSource(l, donovanhide.NewServer(), func(m message) donovanhide.Event { return m })
}

// An eventSource is a server of one of the two packages with that name.
type eventSource[E any] interface {
	Handler(channel string) http.HandlerFunc
	Publish(channels []string, e E)
	Close()
}

func startEventSource[E any](l net.Listener, events eventSource[E], event func(message) E) (Server, error) {
	s := serve(l, events.Handler(channel), func(data string) error {
		events.Publish([]string{channel}, event(message(data)))
		return nil
	}, nil)
	s.RegisterOnShutdown(events.Close)
	return s, nil
}

// A message is an event of these packages.
type message string

// Id has their spelling.
func (message) Id() string { return "" } //nolint:revive,staticcheck // their name

// Event returns the type, which most events do not have.
func (message) Event() string { return "" }

// Data implements their Event.
func (m message) Data() string { return string(m) }

// startDatastar has the hand-written hub, since datastar-go only writes a stream.
func startDatastar(l net.Listener) (Server, error) {
	h := newHub()
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream := datastar.NewSSE(w, r)
		h.forward(r, func(event string) error { return stream.PatchElements(event) })
	}
	return serve(l, http.HandlerFunc(handler), h.dispatch, nil), nil
}

// startCentrifuge subscribes each client on the server's side, so that the stream
// needs no second request: its SSE handler then sends one way.
func startCentrifuge(l net.Listener) (Server, error) {
	node, err := centrifuge.New(centrifuge.Config{
		Metrics: centrifuge.MetricsConfig{RegistererGatherer: prometheus.NewRegistry()},
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
	s := serve(l, withQuery(connect, events), func(data string) error {
		_, err := node.Publish(channel, fmt.Appendf(nil, "%q", data))
		return err
	}, nil)
	s.RegisterOnShutdown(func() {
		node.Shutdown(context.Background()) //nolint:errcheck // the server's Shutdown has a time limit
	})
	return s, nil
}
