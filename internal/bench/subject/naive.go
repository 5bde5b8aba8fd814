//go:build linux

package subject

import (
	"fmt"
	"net"
	"net/http"
	"sync"
)

// A hub is what people write by hand: a map of channels, and a loop that sends each
// event to all of them. It does nothing about slow clients.
type hub struct {
	mu      sync.Mutex
	clients map[chan string]struct{}
}

func newHub() *hub { return &hub{clients: make(map[chan string]struct{})} }

// forward sends the client what is dispatched from now on, until it is gone.
func (h *hub) forward(r *http.Request, send func(event string) error) {
	c := make(chan string, 16)
	h.mu.Lock()
	h.clients[c] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.clients, c)
	}()
	for {
		select {
		case event := <-c:
			if send(event) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (h *hub) dispatch(data string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		c <- data
	}
	return nil
}

// startNaive writes the events itself.
func startNaive(l net.Listener) (Server, error) {
	h := newHub()
	handler := func(w http.ResponseWriter, r *http.Request) {
		flusher, ok := w.(http.Flusher)
		if !ok {
			http.Error(w, "Streaming unsupported", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		flusher.Flush()
		h.forward(r, func(event string) error {
			fmt.Fprintf(w, "data: %s\n\n", event)
			flusher.Flush()
			return nil
		})
	}
	return serve(l, http.HandlerFunc(handler), h.dispatch, nil), nil
}
