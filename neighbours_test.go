package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// A framework may refuse to give a connection away once the body has begun.
type refusing struct {
	http.ResponseWriter
	begun bool
}

func (w *refusing) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *refusing) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

func (w *refusing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.begun {
		return nil, nil, errors.New("response body already written")
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func TestDetachedThroughRefusing(t *testing.T) {
	onlyLinux(t)
	handler, sources := connected(nil)
	site := detachedTransport.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&refusing{ResponseWriter: w}, r)
	}))
	before := quietStats(t)
	st := site.open()
	source := <-sources
	eventually(t, 10*time.Second, "it is detached", func() bool { return sse.ReadStats().Detached == before.Detached+1 })
	source.Dispatch("", "x")
	st.want("message|x")
	source.Close()
	st.wantEnd()
}

// A client whose descriptor the program makes blocking, which reads nothing, holds nobody
// up. If it was blocking before, its stream keeps its handler.
func TestBlockingDescriptor(t *testing.T) {
	onlyLinux(t)
	for _, tt := range []struct {
		name   string
		before bool
	}{{"before", true}, {"after", false}} {
		t.Run(tt.name, func(t *testing.T) {
			var group sse.Set
			group.AcceptOptions = &sse.AcceptOptions{WriteTimeout: -1}
			files := make(chan *os.File, 2)
			site := detachedTransport.listen(t, &group, func(srv *http.Server) {
				srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
					file, err := c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).File()
					if err != nil {
						t.Error(err)
						return ctx
					}
					t.Cleanup(func() { file.Close() })
					if tt.before {
						file.Fd()
					}
					files <- file
					return ctx
				}
			})
			count := func() int {
				if tt.before {
					return sse.ReadStats().NotDetached["blocking socket"]
				}
				return sse.ReadStats().Detached
			}
			quietStats(t)
			before := count()
			site.open() // and reads nothing
			reads := site.open()
			eventually(t, 10*time.Second, "both are there", func() bool { return group.Len() == 2 && count() == before+2 })
			for range 2 {
				(<-files).Fd()
			}
			large := strings.Repeat("x", 1<<20)
			for range 10 {
				group.Dispatch("", large)
				reads.want("message|" + large)
			}
		})
	}
}

// A connection that may ignore deadlines, as a forwarded SSH channel does, is not taken
// over: net/http would wait for its reader for ever.
type deadlineless struct{ net.Conn }

func (deadlineless) SetReadDeadline(time.Time) error { return nil }

type deadlinelessListener struct{ net.Listener }

func (l deadlinelessListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return deadlineless{c}, err
}

func TestConnectionWithoutDeadlines(t *testing.T) {
	var group sse.Set
	server := httptest.NewUnstartedServer(&group)
	server.Listener = sse.Listener(deadlinelessListener{server.Listener.(*net.TCPListener)})
	server.Start()
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	eventually(t, 10*time.Second, "it is a member", func() bool { return group.Len() == 1 })
	group.Dispatch("", "x")
	if e, err := newDecoder(response.Body).next(); err != nil || e.data != "x" {
		t.Errorf("got %q, error %v", e.data, err)
	}
	group.CloseAll()
}

// A deadline that middleware sets for reading the request is not the stream's.
func TestReadDeadlineOfMiddleware(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Error(err)
			}
			handler.ServeHTTP(w, r)
		})).open()
		source := <-sources
		time.Sleep(time.Minute)
		if err := source.Dispatch("", "later"); err != nil {
			t.Error(err)
		}
		st.want("message|later")
	})
}

// A context may be another request's once the response is over, as fasthttp's is: no value
// is read from it then.
type recycled struct {
	context.Context
	over atomic.Bool
	read atomic.Int64 // values, afterwards
}

func (c *recycled) Value(key any) any {
	if c.over.Load() {
		c.read.Add(1)
	}
	return c.Context.Value(key)
}

// recycling recycles its request's context when it fails.
type recycling struct {
	*httptest.ResponseRecorder
	ctx *recycled
}

func (w recycling) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("data")) {
		w.ctx.over.Store(true)
		return 0, io.ErrClosedPipe
	}
	return w.ResponseRecorder.Write(p)
}

func TestRecycledContext(t *testing.T) {
	ctx := &recycled{Context: t.Context()}
	handler, sources := connected(nil)
	served := make(chan bool)
	go func() {
		defer close(served)
		handler.ServeHTTP(recycling{httptest.NewRecorder(), ctx}, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	}()
	source := <-sources
	if err := source.Dispatch("", "x"); !errors.Is(err, sse.ErrGone) {
		t.Errorf("Dispatch: got %v, want ErrGone", err)
	}
	<-served
	if n := ctx.read.Load(); n > 0 {
		t.Errorf("%d values were read from another request's context", n)
	}
}

func TestAcceptTwice(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		st := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			source, err := sse.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer source.Close()
			if again, err := sse.Accept(w, r, nil); again != nil || !errors.Is(err, sse.ErrNotAccepted) {
				t.Errorf("the second time: %v, error %v", again, err)
			}
			sse.Serve(w, r, nil, func(*sse.EventSource) { t.Error("served as well") })
			source.Dispatch("", "x")
		})).open()
		st.want("message|x")
		st.wantEnd()
	})
}

// A reconnection time is not in a block of its own, which strict clients take for an
// event: it is a line before the next event, or the last of the stream.
func TestRetryIsNoEvent(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Retry: 1500 * time.Millisecond})
		site := tr.serve(t, handler)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://memory/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := site.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		(<-sources).Dispatch("", "x")
		go site.shutdown()
		body, err := io.ReadAll(response.Body)
		rest, ok := strings.CutPrefix(string(body), ":\nretry: 1500\ndata: x\n\nretry: ")
		if digits := strings.Trim(rest, "0123456789"); !ok || digits != "\n" || err != nil {
			t.Errorf("got %q, error %v", body, err)
		}
	})
}
