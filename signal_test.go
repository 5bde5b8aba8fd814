package sse_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/internal/memhttp"
)

// childMain is the process that TestSignal starts and signals: a server with
// ListenAndServe and nothing else.
func childMain(address string) {
	var group sse.Set
	mux := http.NewServeMux()
	mux.Handle("GET /events", &group)
	mux.HandleFunc("POST /dispatch", func(w http.ResponseWriter, r *http.Request) {
		n, err := group.Dispatch("", r.FormValue("data"))
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("GET /hang", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		select {}
	})
	srv := &http.Server{Addr: address, Handler: mux, WriteTimeout: time.Second, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	if os.Getenv("SSE_TEST_TLS") != "" {
		ts := httptest.NewUnstartedServer(nil)
		ts.StartTLS()
		srv.TLSConfig = &tls.Config{Certificates: ts.TLS.Certificates}
		ts.Close()
	}
	if err := sse.ListenAndServe(context.Background(), srv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A real process, streams over real sockets, a real signal: all that was
// dispatched arrives, every stream ends cleanly, and the process with success.
func TestSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	for _, tt := range []struct {
		name       string
		tls, http2 bool
		signal     syscall.Signal
	}{
		{"HTTP/1.1", false, false, syscall.SIGTERM},
		{"h2c", false, true, syscall.SIGTERM},
		{"TLS, HTTP/1.1", true, false, syscall.SIGTERM},
		{"TLS, HTTP/2", true, true, syscall.SIGTERM},
		{"interrupt", false, false, syscall.SIGINT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := startProcess(t, tt.tls, tt.http2)
			const clients, events = 20, 100
			var streams []*stream
			for range clients {
				streams = append(streams, p.open("/events"))
			}
			eventually(t, 5*time.Second, "all are members", func() bool { return p.dispatch("0") == clients })
			for i := 1; i < events; i++ {
				p.dispatch(strconv.Itoa(i))
			}
			start := time.Now()
			p.cmd.Process.Signal(tt.signal)
			for _, st := range streams {
				for last := 0; last < events-1; {
					e, err := st.next()
					n, _ := strconv.Atoi(e.data)
					if err != nil || n != 0 && n != last+1 {
						t.Fatalf("got %q, error %v after %d", e.data, err, last)
					}
					last = n
				}
				st.wantEnd()
				st.wantRetry(time.Second, 5*time.Second)
			}
			if err := p.cmd.Wait(); err != nil || time.Since(start) > 2*time.Second {
				t.Errorf("the process ended with %v after %v", err, time.Since(start))
			}
		})
	}
}

// A second signal does what it does by default.
func TestSecondSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	p := startProcess(t, false, false)
	p.open("/hang") // will not end
	st := p.open("/events")
	p.cmd.Process.Signal(syscall.SIGTERM)
	st.wantEnd()
	p.cmd.Process.Signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the process ended with %v", err)
	}
}

// Without a signal, the context ends it; and a port that is taken is an error.
func TestListenAndServe(t *testing.T) {
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sse.ListenAndServe(ctx, &http.Server{Addr: address}) }()
	listening(t, address)
	if err := sse.ListenAndServe(ctx, &http.Server{Addr: address}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("taken: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A listener that the program has opened is served and closed, and detaches streams even if it
// is from Listener already.
func TestServeListener(t *testing.T) {
	for _, tt := range []struct {
		name string
		wrap func(net.Listener) net.Listener
	}{{"plain", func(l net.Listener) net.Listener { return l }}, {"from Listener", sse.Listener}} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var group sse.Set
			ctx, cancel := context.WithCancel(t.Context())
			ended, before := make(chan error), sse.ReadStats().Detached
			srv := &http.Server{Addr: "not.used.invalid:80", Handler: &group}
			go func() { ended <- sse.ServeListener(ctx, srv, tt.wrap(l)) }()
			site := &site{t: t, client: &http.Client{Transport: new(http.Transport)}}
			st := site.openURL("http://" + l.Addr().String())
			if runtime.GOOS == "linux" {
				eventually(t, 5*time.Second, "it is detached", func() bool { return sse.ReadStats().Detached == before+1 })
			}
			cancel()
			st.wantEnd()
			if err := <-ended; err != nil {
				t.Errorf("ServeListener: got %v, want no error", err)
			}
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: got error %v, want %v", err, net.ErrClosed)
			}
		})
	}
}

type process struct {
	*site
	cmd    *exec.Cmd
	origin string
}

func startProcess(t *testing.T, useTLS, http2 bool) *process {
	address := freeAddress(t)
	p := &process{cmd: exec.Command(os.Args[0]), origin: "http://" + address}
	p.cmd.Env = append(os.Environ(), "SSE_TEST_MAIN="+address)
	p.cmd.Stderr = os.Stderr
	if useTLS {
		p.cmd.Env = append(p.cmd.Env, "SSE_TEST_TLS=1")
		p.origin = "https://" + address
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Protocols:       memhttp.Protocols(http2),
	}
	if useTLS && http2 {
		transport.Protocols.SetHTTP2(true)
	}
	p.site = &site{t: t, client: &http.Client{Transport: transport}}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		transport.CloseIdleConnections()
	})
	listening(t, address)
	return p
}

// listening waits until somebody listens on the address.
func listening(t *testing.T, address string) {
	t.Helper()
	eventually(t, 10*time.Second, "somebody listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *process) open(path string) *stream { return p.openURL(p.origin + path) }

// dispatch has the process dispatch an event and returns to how many.
func (p *process) dispatch(data string) (n int) {
	response, err := p.client.PostForm(p.origin+"/dispatch", map[string][]string{"data": {data}})
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var e string
	fmt.Fscan(response.Body, &n, &e)
	return n
}
