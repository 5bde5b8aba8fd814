//go:build linux

package subject

import (
	"fmt"
	"net"
	"net/http"
	"sync"
)

// A hub is what people write by hand: a map of channels, and a loop that sends
// each event to all of them. It knows nothing of slow clients.
type hub struct {
	mu      sync.Mutex
	clients map[chan []byte]struct{}
}

func newHub() *hub { return &hub{clients: make(map[chan []byte]struct{})} }

// join returns a channel that is sent what is dispatched from now on.
func (h *hub) join() chan []byte {
	c := make(chan []byte, 16)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients[c] = struct{}{}
	return c
}

func (h *hub) leave(c chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

func (h *hub) dispatch(data string) error {
	event := []byte(data)
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		c <- event
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
		events := h.join()
		defer h.leave(events)
		for {
			select {
			case event := <-events:
				fmt.Fprintf(w, "data: %s\n\n", event)
				flusher.Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	return serve(l, http.HandlerFunc(handler), h.dispatch), nil
}
