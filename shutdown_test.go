package sse_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

// wantRetry checks that the client was told to come back, a little later.
func (st *stream) wantRetry(from, to time.Duration) {
	st.t.Helper()
	ms, err := strconv.Atoi(st.retry)
	if d := time.Duration(ms) * time.Millisecond; err != nil || d < from || d > to {
		st.t.Errorf("retry %q, want one from %v to %v", st.retry, from, to)
	}
}

func TestShutdown(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var group sse.Set
		site := tr.serve(t, &group)
		var streams []*stream
		for range 10 {
			streams = append(streams, site.open())
		}
		synctest.Wait()
		for i := range 100 {
			group.Dispatch("", strconv.Itoa(i))
		}
		start := time.Now()
		if err := site.shutdown(); err != nil || time.Since(start) > 100*time.Millisecond {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		retries := make(map[string]bool)
		for _, st := range streams {
			for i := range 100 {
				st.want("message|" + strconv.Itoa(i))
			}
			st.wantEnd()
			st.wantRetry(time.Second, 5*time.Second)
			retries[st.retry] = true
		}
		if len(retries) < 5 {
			t.Errorf("they come back in one herd: %v", retries)
		}
		if group.Len() != 0 {
			t.Errorf("%d members left", group.Len())
		}
	})
}

// The reconnection time that the program chose is the least.
func TestShutdownRetry(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{Retry: 20 * time.Second}}
		site := tr.serve(t, &group)
		st := site.open()
		synctest.Wait()
		site.shutdown()
		st.wantEnd()
		st.wantRetry(20*time.Second, 24*time.Second)
	})
}

// A handler with a loop of its own learns of it by its next dispatch, or by Done.
func TestShutdownOfLoops(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			source, err := sse.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer source.Close()
			for i := 0; ; i++ {
				if err := source.Dispatch("", strconv.Itoa(i)); err != nil {
					if !errors.Is(err, sse.ErrShutdown) {
						t.Errorf("Dispatch: %v", err)
					}
					return
				}
				select {
				case <-source.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		}))
		st := site.open()
		st.want("message|0", "message|1")
		site.shutdown()
		st.wantEnd()
		st.wantRetry(time.Second, 5*time.Second)
	})
}

// A handler that waits for something else stops by a context that the stream's end
// cancels.
func TestShutdownOfGenerators(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			source, err := sse.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer source.Close()
			source.Dispatch("", "first")
			<-source.Context().Done() // as a slow generator
			if err := source.Dispatch("", "second"); !errors.Is(err, sse.ErrShutdown) {
				t.Errorf("Dispatch: %v", err)
			}
		}))
		st := site.open()
		st.want("message|first")
		site.shutdown()
		st.wantEnd()
		st.wantRetry(time.Second, 5*time.Second)
	})
}

// While the server shuts down, a request that is already there is told to come
// back; also if it is the first that the package sees of that server.
func TestAcceptDuringShutdown(t *testing.T) {
	for _, first := range []bool{false, true} {
		overEach(t, func(t *testing.T, tr transport) {
			if first && !tr.detached {
				t.Skip("net/http does not say that a server is shutting down; sse.Listener does")
			}
			var accepted error
			arrived := make(chan bool)
			proceed := make(chan bool)
			site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/late" {
					close(arrived)
					<-proceed
				}
				source, err := sse.Accept(w, r, nil)
				if err != nil {
					accepted = err
					return
				}
				source.Wait()
			}))
			if !first {
				site.open()
			}
			late := make(chan *stream)
			go func() { late <- site.openURL("http://memory/late") }()
			<-arrived
			down := make(chan error)
			go func() { down <- site.shutdown() }()
			synctest.Wait()
			close(proceed)
			st := <-late
			if st.response.StatusCode != 200 {
				t.Errorf("status %d ends browsers for good", st.response.StatusCode)
			}
			st.wantEnd()
			st.wantRetry(time.Second, 5*time.Second)
			if err := <-down; err != nil || !errors.Is(accepted, sse.ErrShutdown) {
				t.Errorf("Shutdown: %v, Accept: %v", err, accepted)
			}
		})
	}
}

// A server whose requests have a context of the program's can shut down while its first
// stream begins: a Listener ends that, or the context.
func TestFirstStreamOfBaseContext(t *testing.T) {
	for _, ends := range []bool{false, true} {
		overEach(t, func(t *testing.T, tr transport) {
			if !ends && !tr.detached {
				t.Skip("net/http does not say that a server is shutting down; sse.Listener does")
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			arrived, proceed := make(chan bool), make(chan bool)
			var group sse.Set
			site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-proceed
				group.ServeHTTP(w, r)
			}), func(srv *http.Server) {
				srv.BaseContext = func(net.Listener) context.Context { return ctx }
				if ends {
					srv.RegisterOnShutdown(cancel)
				}
			})
			opened := make(chan *stream)
			go func() { opened <- site.open() }()
			<-arrived
			down := make(chan error)
			go func() { down <- site.shutdown() }()
			synctest.Wait()
			close(proceed)
			st := <-opened
			st.wantEnd()
			if err := <-down; err != nil || group.Len() != 0 {
				t.Errorf("Shutdown: %v, %d members", err, group.Len())
			}
			if !ends {
				st.wantRetry(time.Second, 5*time.Second)
			}
		})
	}
}

// A client that reads nothing holds a shutdown up for five seconds, or for its
// write timeout if that is shorter.
func TestShutdownWithStalledClients(t *testing.T) {
	for _, tt := range []struct{ timeout, want time.Duration }{
		{-1, 5 * time.Second},
		{time.Hour, 5 * time.Second},
		{2 * time.Second, time.Second}, // it has begun a second ago
	} {
		overEach(t, func(t *testing.T, tr transport) {
			group := sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: tt.timeout}}
			site := tr.serve(t, &group)
			site.open()
			reading := site.open()
			synctest.Wait()
			big := strings.Repeat("x", 1<<20)
			group.Dispatch("", big)
			reading.want("message|" + big)
			time.Sleep(time.Second)
			start := time.Now()
			if err := site.shutdown(); err != nil {
				t.Error(err)
			}
			if d := time.Since(start).Truncate(time.Second); d != tt.want {
				t.Errorf("write timeout %v: Shutdown took %v, want %v", tt.timeout, d, tt.want)
			}
			reading.wantEnd()
		})
	}
}

// A second Shutdown gives a stalled client no more time than the first.
func TestShutdownTwice(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{WriteTimeout: -1})
		site := tr.serve(t, handler)
		site.open()
		source := <-sources
		go source.Dispatch("", strings.Repeat("x", 1<<20))
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		go site.server.Shutdown(ctx)
		time.Sleep(4 * time.Second) // fake
		if err := site.shutdown(); err != nil {
			t.Error(err)
		}
		if got, want := time.Since(start).Truncate(time.Second), 5*time.Second; got != want {
			t.Errorf("both took %v, want %v", got, want)
		}
		synctest.Wait()
		if err := source.Err(); err == nil {
			t.Error("the stream goes on")
		}
	})
}

// globalServer is as programs have it: not on the heap.
var globalServer http.Server

// The package does not keep servers alive that the program has forgotten.
func TestServersAreForgotten(t *testing.T) {
	use := func(srv *http.Server) {
		var group sse.Set
		srv.Handler = &group
		l := memhttp.Listen(socketBuffer)
		served := make(chan error)
		go func() { served <- srv.Serve(l) }()
		client := l.Transport(false)
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://memory/", nil)
		response, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		srv.Shutdown(t.Context())
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
		if e, err := newDecoder(response.Body).next(); err != io.EOF {
			t.Errorf("got %v, error %v", e, err)
		}
		response.Body.Close()
		client.CloseIdleConnections()
	}
	use(&globalServer)
	var servers []weak.Pointer[http.Server]
	for range 10 {
		srv := new(http.Server)
		use(srv)
		servers = append(servers, weak.Make(srv))
	}
	eventually(t, 10*time.Second, "servers are garbage", func() bool {
		runtime.GC()
		return !slices.ContainsFunc(servers, func(p weak.Pointer[http.Server]) bool { return p.Value() != nil })
	})
}
