//go:build linux

package client

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// perConnection is how many streams a server of net/http allows on one connection.
const perConnection = 250

// stalledWindow is the flow control window of streams that stall. By default it is
// megabytes.
const stalledWindow = 64 << 10

func (c *Clients) openHTTP2(addr string) error {
	for first := 0; first < c.Streams; first += perConnection {
		if err := c.openConnection(addr, 0, first, min(first+perConnection, c.Streams), c.readBody); err != nil {
			return err
		}
	}
	stalled := func(int, io.Reader) { <-c.ctx.Done() }
	return c.openConnection(addr, stalledWindow, 0, min(c.Stalled, perConnection), stalled)
}

// openConnection opens streams on one connection, and calls use for each body in a
// goroutine.
func (c *Clients) openConnection(addr string, window, first, next int, use func(stream int, body io.Reader)) error {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window}
	context.AfterFunc(c.ctx, transport.CloseIdleConnections)
	open := func(stream int) error {
		r, err := http.NewRequestWithContext(c.ctx, http.MethodGet, "http://"+addr+"/", http.NoBody)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", "text/event-stream")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return fmt.Errorf("stream %d: %w", stream, err)
		}
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return fmt.Errorf("stream %d: %s", stream, resp.Status)
		}
		c.running.Go(func() {
			defer resp.Body.Close()
			use(stream, resp.Body)
		})
		return nil
	}
	if first == next {
		return nil
	}
	if err := open(first); err != nil { // makes the connection, which the others share
		return err
	}
	var g errgroup.Group
	for stream := first + 1; stream < next; stream++ {
		g.Go(func() error { return open(stream) })
	}
	return g.Wait()
}

// readBody reads a stream to its end.
func (c *Clients) readBody(stream int, body io.Reader) {
	f := new(feed)
	f.SkipHead()
	buffer := make([]byte, 4<<10)
	for {
		n, err := body.Read(buffer)
		if c.receive(f, stream, buffer[:n]) != nil {
			return
		}
		if err != nil {
			c.end(err == io.EOF)
			return
		}
	}
}
