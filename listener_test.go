package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

// A server with a listener of its own keeps all that net/http promises: handlers
// run as long as their streams, no connection is taken over, and Shutdown waits.
func TestOtherListeners(t *testing.T) {
	onlyLinux(t)
	var mu sync.Mutex
	states := make(map[http.ConnState]int)
	var group sse.Set
	var handlers sync.WaitGroup
	site := transports[0].listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		sse.Serve(w, r, nil, func(source *sse.EventSource) { group.Add(source) })
	}), func(s *http.Server) {
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states[state]++
		}
	})
	before := sse.ReadStats()
	st := site.open()
	eventually(t, 5*time.Second, "it is a member", func() bool { return group.Len() == 1 })
	eventually(t, 5*time.Second, "it is counted", func() bool {
		return sse.ReadStats().NotDetached["no sse.Listener"] == before.NotDetached["no sse.Listener"]+1
	})
	if err := site.shutdown(); err != nil {
		t.Error(err)
	}
	handlers.Wait()
	st.wantEnd()
	mu.Lock()
	defer mu.Unlock()
	if states[http.StateHijacked] != 0 || states[http.StateClosed] != states[http.StateNew] {
		t.Errorf("connections' states %v, want none hijacked, and all closed", states)
	}
}

// Closing a Listener ends its streams, and those that begin on its connections later.
func TestListenerClosed(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		own := sse.Listener(l)
		address := l.Addr().String()
		sources := make(chan *sse.EventSource, 1)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, nil, func(source *sse.EventSource) { sources <- source })
		})
		tr.detached = false // it is wrapped here
		site := tr.start(t, handler, own, func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		})
		st := site.open()
		source := <-sources
		kept, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		fmt.Fprint(kept, "HEAD / HTTP/1.1\r\nHost: memory\r\n\r\n")
		reader := bufio.NewReader(kept)
		if !tr.http2 { // so that the server has accepted it
			if _, err := http.ReadResponse(reader, &http.Request{Method: "HEAD"}); err != nil {
				t.Fatal(err)
			}
		}
		source.Dispatch("", "last")
		if err := own.Close(); err != nil {
			t.Error(err)
		}
		if err := source.Wait(); !errors.Is(err, sse.ErrShutdown) {
			t.Errorf("ended with %v, want ErrShutdown", err)
		}
		st.want("message|last")
		st.wantEnd()
		if tr.http2 {
			return
		}
		fmt.Fprint(kept, "GET / HTTP/1.1\r\nHost: memory\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := newDecoder(response.Body)
		if e, err := d.next(); err != io.EOF || d.retry == "" || response.StatusCode != http.StatusOK {
			t.Errorf("later: status %d, got %+v, error %v, retry %q; want a reconnection time and the end", response.StatusCode, e, err, d.retry)
		}
	})
}

// A failingListener fails to accept once for each value of fail, as for lack of
// descriptors.
type failingListener struct {
	net.Listener
	fail chan bool
}

func (l *failingListener) Accept() (net.Conn, error) {
	select {
	case <-l.fail:
		return nil, &net.OpError{Op: "accept", Err: syscall.ECONNABORTED} // temporary
	default:
		return l.Listener.Accept()
	}
}

// A listener that fails to accept, and is not closed, waits for no stream.
func TestAcceptFails(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		l := memhttp.Listen(socketBuffer)
		failing := &failingListener{l, make(chan bool, 1)}
		site := tr.start(t, handler, failing, l.Dial, func(s *http.Server) { s.ErrorLog = log.New(io.Discard, "", 0) })
		site.open()
		<-sources
		failing.fail <- true
		start := time.Now()
		for range 2 { // one is accepted by the call that has begun
			request, err := http.NewRequestWithContext(t.Context(), "HEAD", "http://memory/", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Close = true
			response, err := site.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the next connections took %v, want at most a second", took)
		}
	})
}

// What else is served over a Listener arrives whole.
func TestFileOverListener(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }))
		for range 2 {
			response, err := site.client.Get("http://memory/")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, error %v; want %d", len(got), err, len(data))
			}
		}
	})
}
