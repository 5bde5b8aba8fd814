package sse_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

func TestHead(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, _ := connected(nil)
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Program", "stays")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Keep-Alive", "timeout=5")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			handler.ServeHTTP(w, r)
		}))
		h := site.open().response.Header
		for name, want := range map[string]string{
			"Content-Type":                "text/event-stream",
			"Cache-Control":               "no-cache, no-transform",
			"X-Accel-Buffering":           "no",
			"X-Program":                   "stays",
			"Access-Control-Allow-Origin": "*",
			"Set-Cookie":                  "a=b",
			"Connection":                  "",
			"Keep-Alive":                  "",
			"Transfer-Encoding":           "",
			"Content-Length":              "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

func TestHeadersOfTheProgramStay(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "yes")
	source, err := sse.Accept(w, httptest.NewRequest("GET", "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Accel-Buffering") != "yes" {
		t.Errorf("got %v", w.Header())
	}
}

func TestMethods(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var accepted error
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var source *sse.EventSource
			if source, accepted = sse.Accept(w, r, nil); accepted == nil {
				source.Dispatch("", r.Method+string(body))
				source.Close()
			}
		}))
		for _, tt := range []struct {
			method, body string
			status       int
			want         string
		}{
			{"GET", "", 200, ":\ndata: GET\n\n"},
			{"POST", "question", 200, ":\ndata: POSTquestion\n\n"},
			{"HEAD", "", 200, ""},
			{"OPTIONS", "", 204, ""},
			{"PUT", "x", 405, "Method Not Allowed\n"},
			{"DELETE", "", 405, "Method Not Allowed\n"},
		} {
			r, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://memory/", strings.NewReader(tt.body))
			response, err := site.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != tt.status || string(body) != tt.want {
				t.Errorf("%s: status %d, body %q, error %v; want %d, %q", tt.method, response.StatusCode, body, err, tt.status, tt.want)
			}
			stream := tt.method == "GET" || tt.method == "POST"
			if stream != (accepted == nil) || !stream && !errors.Is(accepted, sse.ErrNotAccepted) {
				t.Errorf("%s: Accept returned %v", tt.method, accepted)
			}
			if typ := response.Header.Get("Content-Type"); (tt.method == "HEAD" || stream) != (typ == "text/event-stream") {
				t.Errorf("%s: Content-Type %q", tt.method, typ)
			}
			if allow := response.Header.Get("Allow"); (allow != "") != (tt.status == 204 || tt.status == 405) {
				t.Errorf("%s: Allow %q", tt.method, allow)
			}
		}
	})
}

// A writer that hides what the server's can do.
type opaque struct{ http.ResponseWriter }

// A writer as middleware wraps it.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestWrappedWriters(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var accepted error
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var source *sse.EventSource
			if source, accepted = sse.Accept(w, r, nil); accepted == nil {
				source.Dispatch("", "hello")
				source.Close()
			}
		})
		mux := http.NewServeMux()
		mux.Handle("/timeout", http.TimeoutHandler(handler, time.Second, ""))
		mux.HandleFunc("/opaque", func(w http.ResponseWriter, r *http.Request) { handler(opaque{w}, r) })
		mux.HandleFunc("/wrapped", func(w http.ResponseWriter, r *http.Request) { handler(wrapped{wrapped{w}}, r) })
		site := tr.serve(t, mux)
		for _, path := range []string{"/timeout", "/opaque"} {
			st := site.openURL("http://memory" + path)
			body, _ := io.ReadAll(st.response.Body)
			if st.response.StatusCode != 500 || !strings.Contains(string(body), "Unwrap") {
				t.Errorf("%s: status %d, body %q", path, st.response.StatusCode, body)
			}
			if !errors.Is(accepted, sse.ErrNotAccepted) || !errors.Is(accepted, errors.ErrUnsupported) {
				t.Errorf("%s: Accept returned %v", path, accepted)
			}
		}
		st := site.openURL("http://memory/wrapped")
		st.want("message|hello")
		st.wantEnd()
	})
}

func TestHTTP10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, sources := connected(nil)
		site := transports[0].serve(t, handler)
		conn, err := site.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /?lastEventId=x HTTP/1.0\r\n\r\n")
		source := <-sources
		source.Dispatch("", "one\ntwo")
		source.Close()
		got, err := io.ReadAll(conn)
		head, body, _ := strings.Cut(string(got), "\r\n\r\n")
		if err != nil || !strings.HasPrefix(head, "HTTP/1.0 200") || strings.Contains(head, "chunked") || body != ":\ndata: one\ndata: two\n\n" {
			t.Errorf("got %q, error %v", got, err)
		}
	})
}

// What the request says becomes what the source says.
func TestRequestProperties(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		for _, tt := range []struct{ path, header, want string }{
			{"/events", "", ""},
			{"/events", "7", "7"},
			{"/events?lastEventId=8", "", "8"},
			{"/events?lastEventId=8", "9", "9"},
			{"/events?lastEventId=a%20b", "", "a b"},
		} {
			headers := []string{}
			if tt.header != "" {
				headers = []string{"Last-Event-ID", tt.header}
			}
			before := time.Now()
			site.openURL("http://memory"+tt.path, headers...)
			source := <-sources
			if source.LastEventID() != tt.want || source.URL() != tt.path {
				t.Errorf("%s with %q: LastEventID %q, URL %q", tt.path, tt.header, source.LastEventID(), source.URL())
			}
			if source.ReadyState() != sse.Open || source.Err() != nil || source.OpenedAt().Before(before) || !source.UpdatedAt().Equal(source.OpenedAt()) {
				t.Errorf("%s: %v, %v, opened %v, updated %v", tt.path, source.ReadyState(), source.Err(), source.OpenedAt(), source.UpdatedAt())
			}
			time.Sleep(time.Second)
			source.Dispatch("", "x")
			if d := source.UpdatedAt().Sub(source.OpenedAt()); d != time.Second {
				t.Errorf("updated %v after it was opened", d)
			}
		}
	})
}

func TestRetryOption(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Retry: 1500 * time.Millisecond})
		st := tr.serve(t, handler).open()
		(<-sources).Dispatch("", "x")
		st.want("message|x")
		if st.retry != "1500" {
			t.Errorf("retry %q", st.retry)
		}
	})
}

// net/http's own timeouts are for requests, not for streams.
func TestServerTimeoutsDoNotEndStreams(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler, func(srv *http.Server) {
			srv.WriteTimeout = time.Second
			srv.ReadTimeout = time.Second
		})
		st := site.open()
		source := <-sources
		for range 3 {
			time.Sleep(10 * time.Second)
			if err := source.Dispatch("", "later"); err != nil {
				t.Fatal(err)
			}
			st.want("message|later")
		}
		source.Close()
		st.wantEnd()
	})
}

// A client that is gone before Accept gets no stream, and the handler an error.
func TestAcceptTooLate(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		arrived, left, result := make(chan bool), make(chan bool), make(chan error)
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-left
			_, err := sse.Accept(w, r, nil)
			result <- err
		}))
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://memory/", nil)
			if _, err := site.client.Do(r); !errors.Is(err, context.Canceled) {
				t.Errorf("the client got %v", err)
			}
		}()
		<-arrived
		leave()
		synctest.Wait()
		close(left)
		if err := <-result; !errors.Is(err, sse.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
	})
}

// The head and the first comment are one write, and there is nothing before.
func TestFirstBytes(t *testing.T) {
	handler, _ := connected(nil)
	site := transports[0].listen(t, handler)
	conn, err := net.Dial("tcp", dialAddr(t, site))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: memory\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	var b [2]byte
	if _, err := io.ReadFull(response.Body, b[:]); err != nil || string(b[:]) != ":\n" {
		t.Errorf("the body begins with %q, error %v", b, err)
	}
}

func dialAddr(t *testing.T, s *site) string {
	conn, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.RemoteAddr().String()
}
