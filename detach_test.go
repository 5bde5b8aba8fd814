package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/internal/listen"
	"example.org/sse/internal/memhttp"
)

// onlyLinux skips a test that needs connections to be taken over for real.
func onlyLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("streams are detached on Linux alone")
	}
}

var detachedTransport = transports[2]

// quietStats returns the numbers once no stream of an earlier test is left.
func quietStats(t *testing.T) (stats sse.Stats) {
	t.Helper()
	eventually(t, 20*time.Second, "the streams of other tests have ended", func() bool {
		stats = sse.ReadStats()
		return stats.Attached+stats.Detached == 0
	})
	return stats
}

// A detached stream has no goroutine, and all else it had.
func TestDetach(t *testing.T) {
	onlyLinux(t)
	returned := make(chan bool, 1)
	sources := make(chan *sse.EventSource, 1)
	site := detachedTransport.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			source.Dispatch("", "before")
			sources <- source
		})
		returned <- true
	}))
	before := quietStats(t)
	st := site.openURL("http://memory/path?x=1", "Last-Event-ID", "7")
	<-returned
	source := <-sources
	if source.URL() != "/path?x=1" || source.LastEventID() != "7" || source.ReadyState() != sse.Open || source.Err() != nil || time.Since(source.OpenedAt()) > time.Minute {
		t.Errorf("URL %q, LastEventID %q, state %v, error %v", source.URL(), source.LastEventID(), source.ReadyState(), source.Err())
	}
	if after := sse.ReadStats(); after.Detached != before.Detached+1 {
		t.Errorf("%d detached streams, before %d", after.Detached, before.Detached)
	}
	time.Sleep(10 * time.Millisecond) // so that it shows when it was updated
	if err := source.Dispatch("", "after"); err != nil || source.UpdatedAt().Sub(source.OpenedAt()) < 10*time.Millisecond {
		t.Errorf("Dispatch: %v; opened %v, updated %v", err, source.OpenedAt(), source.UpdatedAt())
	}
	st.want("message|before", "message|after")
	waited := make(chan error)
	go func() { waited <- source.Wait() }()
	source.Close()
	st.wantEnd()
	if err := <-waited; !errors.Is(err, sse.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	quietStats(t)
}

// An encoding writer is as middleware that compresses.
type encoding struct{ http.ResponseWriter }

func (w encoding) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w encoding) WriteHeader(status int) {
	w.Header().Set("Content-Encoding", "identity")
	w.ResponseWriter.WriteHeader(status)
}

// A late writer does not flush the first time, as one that waits whether compressing
// is worth it.
type late struct {
	http.ResponseWriter
	again bool
}

func (w *late) FlushError() error {
	if !w.again {
		w.again = true
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *late) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A limited listener's connections are more than sockets: it has to know when
// they are closed.
type limited struct {
	net.Listener
	closed chan bool
}

type limitedConn struct {
	net.Conn
	closed chan bool
}

func (l limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return limitedConn{c, l.closed}, err
}

func (c limitedConn) Close() error {
	select {
	case c.closed <- true:
	default:
	}
	return c.Conn.Close()
}

// What cannot be detached waits, says why, and is a stream like any other.
func TestNotDetached(t *testing.T) {
	onlyLinux(t)
	var logged bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(old) })
	through := func(wrap func(http.ResponseWriter) http.ResponseWriter) func(*httptest.Server) {
		return func(s *httptest.Server) {
			inner := s.Config.Handler
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(wrap(w), r) })
		}
	}
	closed := make(chan bool, 10)
	for _, tt := range []struct {
		reason    string
		configure func(*httptest.Server)
		proto     string
	}{
		{"TLS", func(s *httptest.Server) { s.StartTLS() }, "HTTP/1.1"},
		{"HTTP/2", func(s *httptest.Server) { s.Config.Protocols = memhttp.Protocols(true) }, "HTTP/2.0"},
		{"HTTP/1.0", func(*httptest.Server) {}, "HTTP/1.0"},
		{"Content-Encoding", through(func(w http.ResponseWriter) http.ResponseWriter { return encoding{w} }), "HTTP/1.1"},
		{"no Hijack", through(func(w http.ResponseWriter) http.ResponseWriter { return holding{w} }), "HTTP/1.1"},
		{"no TCP socket", func(s *httptest.Server) { s.Listener = limited{s.Listener, closed} }, "HTTP/1.1"},
		{"no TCP socket", func(s *httptest.Server) {
			s.Listener = sse.Listener(limited{s.Listener.(*listen.Listener).Listener, closed})
		}, "HTTP/1.1"},
		{"no sse.Listener", func(s *httptest.Server) { s.Listener = s.Listener.(*listen.Listener).Listener }, "HTTP/1.1"},
		{"response held back", through(func(w http.ResponseWriter) http.ResponseWriter { return &late{ResponseWriter: w} }), "HTTP/1.1"},
	} {
		for _, end := range []string{"Close", "Shutdown", "the client leaves"} {
			t.Run(tt.reason+", "+end, func(t *testing.T) {
				// Its comments are a second flush, for the late writer.
				handler, sources := connected(&sse.AcceptOptions{KeepAlive: 50 * time.Millisecond})
				server := httptest.NewUnstartedServer(handler)
				server.Listener = sse.Listener(server.Listener)
				tt.configure(server)
				if server.URL == "" {
					server.Start()
				}
				defer server.Close()
				before := quietStats(t)
				body := openProto(t, server, tt.proto)
				d := newDecoder(body)
				source := <-sources
				var group sse.Set
				group.Add(source)
				group.Dispatch("", "one\ntwo")
				if e, err := d.next(); e.data != "one\ntwo" || err != nil {
					t.Fatalf("got %q, error %v", e.data, err)
				}
				eventually(t, 5*time.Second, "it is counted", func() bool {
					return sse.ReadStats().NotDetached[tt.reason] == before.NotDetached[tt.reason]+1
				})
				if now := sse.ReadStats(); now.Attached != before.Attached+1 || now.Detached != before.Detached {
					t.Errorf("before %+v, now %+v", before, now)
				}
				var want error
				switch end {
				case "Close":
					want = sse.ErrClosed
					group.Dispatch("", "last")
					source.Close()
				case "Shutdown":
					want = sse.ErrShutdown
					group.Dispatch("", "last")
					start := time.Now()
					if err := server.Config.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
					if took := time.Since(start); took > 4*time.Second {
						t.Errorf("Shutdown took %v", took)
					}
				default:
					want = sse.ErrGone
					body.Close()
				}
				if err := source.Wait(); !errors.Is(err, want) || group.Len() != 0 {
					t.Errorf("ended with %v, %d members", err, group.Len())
				}
				if end != "the client leaves" {
					if e, err := d.next(); e.data != "last" || err != nil {
						t.Errorf("got %q, error %v", e.data, err)
					}
					if e, err := d.next(); err != io.EOF {
						t.Errorf("got %q, error %v; want the end", e.data, err)
					}
				}
				if tt.reason == "no TCP socket" {
					<-closed // the listener was told
				}
			})
		}
		if !strings.Contains(logged.String(), fmt.Sprintf("reason=%q", tt.reason)) && !strings.Contains(logged.String(), "reason="+tt.reason) {
			t.Errorf("%s: not in the log: %s", tt.reason, logged.String())
		}
	}
}

// openProto opens a stream over that version of HTTP.
func openProto(t *testing.T, server *httptest.Server, proto string) io.ReadCloser {
	t.Helper()
	if proto == "HTTP/1.0" {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return struct {
			io.Reader
			io.Closer
		}{response.Body, conn}
	}
	ctx, leave := context.WithCancel(t.Context())
	transport := &http.Transport{Protocols: memhttp.Protocols(proto == "HTTP/2.0"), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.Proto != proto {
		t.Errorf("over %s, want %s", response.Proto, proto)
	}
	return struct {
		io.Reader
		io.Closer
	}{response.Body, closer(func() error { leave(); return response.Body.Close() })}
}

type closer func() error

func (c closer) Close() error { return c() }

// A stream that ends while it is being detached ends as any other.
func TestDetachOfEnded(t *testing.T) {
	for range 50 {
		for _, end := range []func(*sse.EventSource){
			func(s *sse.EventSource) { go s.Close() },
			func(s *sse.EventSource) { s.Close() },
			func(s *sse.EventSource) { go s.Dispatch("", "x"); go s.Close(); go s.Wait() },
		} {
			result := make(chan error, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sse.Serve(w, r, nil, func(source *sse.EventSource) {
					end(source)
					go func() { result <- source.Wait() }()
				})
			}))
			server.Listener = sse.Listener(server.Listener)
			server.Start()
			response, err := http.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(response.Body); err != nil {
				t.Errorf("the client got %v", err)
			}
			response.Body.Close()
			if err := <-result; !errors.Is(err, sse.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
			server.Close()
		}
	}
}
