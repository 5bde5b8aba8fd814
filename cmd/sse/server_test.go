package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/zstd"
)

// sendHead begins a stream as hand-written handlers do.
func sendHead(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
}

// ticks is a hand-written stream: an event every 50 ms, with an id. It ignores
// Last-Event-ID; ?for=1s ends it.
func ticks(w http.ResponseWriter, r *http.Request) {
	sendHead(w)
	ctx := r.Context()
	if d, err := time.ParseDuration(r.FormValue("for")); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 1; ; i++ {
		select {
		case now := <-ticker.C:
			fmt.Fprintf(w, "id: %d\ndata: tick %d\n\n", i, now.UnixNano())
			http.NewResponseController(w).Flush()
		case <-ctx.Done():
			return
		}
	}
}

// three is a stream of three events.
const three = "retry: 100\nid: 1\ndata: a\n\n: hi\nevent: done\nid: 2\ndata: b\ndata: c\n\ndata: \x1b[31mx\n\n"

// newServer serves streams, and responses that are not streams.
func newServer(t *testing.T) *httptest.Server {
	return newServerOn(t, func(_ *testing.T, handler http.Handler) *httptest.Server { return httptest.NewServer(handler) })
}

func newServerOn(t *testing.T, start func(*testing.T, http.Handler) *httptest.Server) *httptest.Server {
	stopped := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/three", func(w http.ResponseWriter, _ *http.Request) {
		sendHead(w)
		io.WriteString(w, three)
	})
	mux.HandleFunc("/next", func(w http.ResponseWriter, r *http.Request) { // one event per connection
		n := 0
		fmt.Sscan(r.Header.Get("Last-Event-ID"), &n)
		sendHead(w)
		fmt.Fprintf(w, "retry: 100\nid: %d\ndata: next\n\n", n+1)
	})
	mux.HandleFunc("/ticks", ticks)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sendHead(w)
		fmt.Fprintf(w, "data: %s,%s,%s,%s,%s\n\n", r.Method, r.Header.Get("Content-Type"), r.Header.Get("X-Try"), r.Header.Get("Last-Event-ID"), body)
	})
	mux.HandleFunc("/answer", func(w http.ResponseWriter, _ *http.Request) { // two words and an end in 210 ms
		sendHead(w)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for range 2 {
			<-ticker.C
			io.WriteString(w, "data: word\n\n")
			http.NewResponseController(w).Flush()
		}
		<-time.After(10 * time.Millisecond)
	})
	mux.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!DOCTYPE html><p>hello") })
	mux.HandleFunc("/escape", func(w http.ResponseWriter, _ *http.Request) { // a reason with an escape sequence
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "HTTP/1.1 404 \x1b[31mred\r\nContent-Length: 0\r\n\r\n")
		c.Close()
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		sendHead(w)
		io.WriteString(w, "data: a\n\ndata: b")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		mib, err := strconv.Atoi(r.FormValue("mib"))
		if err != nil {
			mib = 100
		}
		sendHead(w)
		io.WriteString(w, "data: ")
		for range mib {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
				return
			}
		}
		io.WriteString(w, "\n\n")
	})
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {
		sendHead(w)
		select {
		case <-r.Context().Done():
		case <-stopped:
		}
	})
	mux.HandleFunc("/dead", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-stopped:
		}
	})
	mux.HandleFunc("/retry0", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(headed(w), "retry: 0\nid: 1\ndata: a\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.Handle("/quiet", &sse.Set{AcceptOptions: &sse.AcceptOptions{KeepAlive: 600 * time.Millisecond}})
	mux.Handle("/moved", http.RedirectHandler("/ticks", http.StatusFound))
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		ticks(w, r)
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		sendHead(w)
		z := gzip.NewWriter(w)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for r.Context().Err() == nil {
			<-ticker.C
			io.WriteString(z, "data: tick\n\n")
			if r.FormValue("unflushed") == "" {
				z.Flush()
			}
			http.NewResponseController(w).Flush()
		}
	})
	compress := &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}}
	mux.HandleFunc("/stored", func(w http.ResponseWriter, r *http.Request) {
		source, err := sse.Accept(w, r, compress)
		if err != nil {
			return
		}
		defer source.Close()
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for source.ReadyState() == sse.Open {
			source.Dispatch("", strings.Repeat("tick", 1000))
			<-ticker.C
		}
	})
	var group sse.Set
	mux.Handle("/set", &group)
	for path, codings := range map[string][]sse.Coding{
		"/compressed": {sse.Gzip()},
		"/zstd":       {zstd.Coding()},
		"/both":       {zstd.Coding(), sse.Gzip()},
		"/gzip-first": {sse.Gzip(), zstd.Coding()},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			o := &sse.AcceptOptions{Compress: codings, KeepAlive: 600 * time.Millisecond}
			sse.Serve(w, r, o, func(source *sse.EventSource) {
				if r.FormValue("quiet") == "" {
					group.Add(source)
				}
			})
		})
	}
	for path, coding := range map[string]string{"/br": "br", "/twice": "gzip, gzip"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", coding)
			ticks(w, r)
		})
	}
	server := start(t, mux)
	var ticking sync.WaitGroup
	ticking.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				group.Dispatch("tick", fmt.Sprintf(`{"sent": {"at": %q}}`, now.Format(time.RFC3339Nano)))
			case <-stopped:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(stopped)
		ticking.Wait()
		group.CloseAll()
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func headed(w http.ResponseWriter) io.Writer {
	sendHead(w)
	return w
}
