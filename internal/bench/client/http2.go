//go:build linux

package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// perConnection is how many streams a server of net/http allows on one
// connection.
const perConnection = 250

// stalledWindow is the flow control window of the streams that stall, which is
// megabytes otherwise.
const stalledWindow = 64 << 10

// openHTTP2 opens n streams over unencrypted HTTP/2, and calls use for each
// body in a goroutine of its own.
func openHTTP2(ctx context.Context, addr string, n, window int, use func(stream int, body io.Reader)) error {
	for first := 0; first < n; first += perConnection {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		if window > 0 {
			transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window}
		}
		open := func(stream int) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", http.NoBody)
			if err != nil {
				return err
			}
			r.Header.Set("Accept", "text/event-stream")
			resp, err := transport.RoundTrip(r) //nolint:bodyclose // by the goroutine that reads it
			if err != nil {
				return fmt.Errorf("stream %d: %w", stream, err)
			}
			if resp.StatusCode != http.StatusOK {
				resp.Body.Close()
				return fmt.Errorf("stream %d: %s", stream, resp.Status)
			}
			go func() {
				defer resp.Body.Close()
				use(stream, resp.Body)
			}()
			return nil
		}
		// The first one makes the connection, the others share it.
		if err := open(first); err != nil {
			return err
		}
		var opened sync.WaitGroup
		errs := make(chan error, perConnection)
		for stream := first + 1; stream < min(first+perConnection, n); stream++ {
			opened.Go(func() { errs <- open(stream) })
		}
		opened.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readBody reads one stream to its end.
func (t *tally) readBody(stream int, body io.Reader) {
	s, o := new(Stream), new(Order)
	s.SkipHead()
	greeted := false
	deliver := func(event int) {
		if event >= MaxEvents || !o.Next(event) {
			t.misorder(stream, o, event)
			return
		}
		if !greeted {
			greeted = true
			t.greet()
		}
		if event > 0 {
			t.have(event)
		}
	}
	buffer := make([]byte, 4<<10)
	for {
		n, err := body.Read(buffer)
		if e := s.Feed(buffer[:n], deliver); e != nil {
			t.fail(fmt.Errorf("client %d: %w", stream, e))
			return
		}
		if err != nil {
			t.end(err == io.EOF)
			return
		}
	}
}
