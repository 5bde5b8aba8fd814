package sse

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// spareAge is how old a connection without a request must be to be closed at a
// shutdown: the request of a younger one may be on its way.
const spareAge = 500 * time.Millisecond

// Spares are connections on which no request has come. Browsers open them in
// reserve, and [http.Server.Shutdown] waits for each until it is five seconds old.
type spares struct {
	mu     sync.Mutex
	opened map[net.Conn]time.Time
}

// watch has the server tell of its connections, beside whoever it tells already.
// It must be called before the server serves.
func (s *spares) watch(srv *http.Server) {
	s.opened = make(map[net.Conn]time.Time)
	told := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		s.mu.Lock()
		if state == http.StateNew {
			s.opened[c] = time.Now()
		} else {
			delete(s.opened, c)
		}
		s.mu.Unlock()
		if told != nil {
			told(c, state)
		}
	}
}

// close closes spare connections as they get old enough, until the context is done.
func (s *spares) close(ctx context.Context) {
	tick := time.NewTicker(spareAge / 5)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for c, opened := range s.opened {
			if time.Since(opened) >= spareAge {
				c.Close() //nolint:errcheck // its goroutine finds out, and takes it out
			}
		}
		s.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
