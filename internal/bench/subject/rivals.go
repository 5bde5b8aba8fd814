//go:build linux

package subject

import (
	"context"
	"net"
	"net/http"

	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/starfederation/datastar-go/datastar"
	gosse "github.com/tmaxmax/go-sse"
)

// startGoSSE shuts down by RegisterOnShutdown, as the documentation of
// Server.Shutdown asks for. A session's head is sent with its first event
// otherwise, and until then a browser's EventSource does not open.
func startGoSSE(l net.Listener) (Server, error) {
	events := &gosse.Server{OnSession: func(w http.ResponseWriter, _ *http.Request) ([]string, bool) {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil, http.NewResponseController(w).Flush() == nil
	}}
	s := serve(l, events, func(data string) error {
		m := new(gosse.Message)
		m.AppendData(data)
		return events.Publish(m)
	})
	s.RegisterOnShutdown(func() {
		_ = events.Shutdown(context.Background()) // hosted.Shutdown's context bounds the whole
	})
	return s, nil
}

func startR3labs(l net.Listener) (Server, error) {
	const stream = "bench"
	events := r3labs.New()
	events.AutoReplay = false
	events.CreateStream(stream)
	handler := func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = "stream=" + stream // which its clients would have in the URL
		events.ServeHTTP(w, r)
	}
	s := serve(l, http.HandlerFunc(handler), func(data string) error {
		events.Publish(stream, &r3labs.Event{Data: []byte(data)})
		return nil
	})
	s.RegisterOnShutdown(events.Close)
	return s, nil
}

func startLaunchdarkly(l net.Listener) (Server, error) {
	const channel = "bench"
	events := launchdarkly.NewServer()
	s := serve(l, events.Handler(channel), func(data string) error {
		events.Publish([]string{channel}, message(data))
		return nil
	})
	s.RegisterOnShutdown(events.Close)
	return s, nil
}

func startDonovanhide(l net.Listener) (Server, error) {
	const channel = "bench"
	events := donovanhide.NewServer()
	s := serve(l, events.Handler(channel), func(data string) error {
		events.Publish([]string{channel}, message(data))
		return nil
	})
	s.RegisterOnShutdown(events.Close)
	return s, nil
}

// message is an event of the two that are called eventsource.
type message string

// Id is spelled as the two ask for.
func (message) Id() string { return "" } //nolint:revive,staticcheck // their name

// Event returns the type, which is that of most events.
func (message) Event() string { return "" }

// Data implements their Event.
func (m message) Data() string { return string(m) }

// startDatastar has a hand-written hub, since datastar-go writes one stream and
// leaves it to the program where the events come from.
func startDatastar(l net.Listener) (Server, error) {
	h := newHub()
	handler := func(w http.ResponseWriter, r *http.Request) {
		stream := datastar.NewSSE(w, r)
		events := h.join()
		defer h.leave(events)
		for {
			select {
			case event := <-events:
				if stream.PatchElements(string(event)) != nil {
					return
				}
			case <-r.Context().Done():
				return
			}
		}
	}
	return serve(l, http.HandlerFunc(handler), h.dispatch), nil
}
