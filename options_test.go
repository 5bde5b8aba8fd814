package sse_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// Any value of an option does what its documentation says, the largest and the
// smallest as well.
func TestExtremeOptions(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for _, d := range []time.Duration{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1} {
			for _, backlog := range []int{math.MaxInt, math.MinInt, 1} {
				o := &sse.AcceptOptions{KeepAlive: d, WriteTimeout: max(d, time.Second), Backlog: backlog, Retry: d}
				if d < 0 {
					o.WriteTimeout = d
				}
				if d == 1 {
					o.KeepAlive = time.Second
				}
				group := &sse.Set{AcceptOptions: o}
				site := tr.serve(t, group)
				st := site.open()
				synctest.Wait()
				group.Dispatch("", "1")
				st.want("message|1")
				time.Sleep(time.Hour) // fake
				if backlog != 1 {
					for range 6 {
						group.Dispatch("", strings.Repeat("x", 1<<20)) // more than the default allows
					}
				}
				synctest.Wait()
				if n := group.Len(); n != 1 {
					t.Fatalf("%+v: %d members, want 1", *o, n)
				}
				group.Dispatch("", "last")
				for {
					e, err := st.next()
					if err != nil {
						t.Fatalf("%+v: %v", *o, err)
					}
					if e.data == "last" {
						break
					}
				}
				go site.shutdown()
				st.wantEnd()
			}
		}
	})
}

// A WriteTimeout of the server does not end a stream, whatever its own is.
func TestServersWriteTimeout(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for _, timeout := range []time.Duration{-1, 0, time.Hour} {
			group := &sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: timeout, KeepAlive: -1}}
			st := tr.serve(t, group, func(s *http.Server) { s.WriteTimeout = 5 * time.Second }).open()
			synctest.Wait()
			time.Sleep(time.Minute) // fake
			large := strings.Repeat("x", 1<<20)
			group.Dispatch("", large)
			time.Sleep(7 * time.Second) // fake: the write takes longer than the server would allow
			st.want("message|" + large)
		}
	})
}

// What is kept of a request is small, whatever the request is.
func TestLargeRequests(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		const size, streams = 900 << 10, 8
		handler, sources := connected(nil)
		site := tr.listen(t, handler, func(s *http.Server) { s.MaxHeaderBytes = 4 << 20 })
		heap := func() int64 {
			site.client.CloseIdleConnections()
			runtime.GC()
			runtime.GC() // of pools, too
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		if tr.http2 {
			t.Skip("net/http does not take so large a head")
		}
		before := heap()
		var kept []*sse.EventSource
		for range streams {
			conn, response := rawRequest(t, dialAddr(t, site), "GET /?lastEventId="+strings.Repeat("9", size)+" HTTP/1.1\r\nHost: memory\r\n\r\n")
			defer conn.Close()
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d", response.StatusCode)
			}
			source := <-sources
			if n, m := len(source.URL()), len(source.LastEventID()); n > 8<<10 || m > 4<<10 {
				t.Errorf("%d bytes of the URL and %d of the id", n, m)
			}
			kept = append(kept, source)
		}
		if !tr.detached {
			return // net/http keeps the request, and so do we
		}
		var grown int64
		for range 1000 { // the last handlers may be returning
			if grown = (heap() - before) / streams; grown <= 100<<10 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if grown > 100<<10 {
			t.Errorf("%d KiB stay with each stream", grown>>10)
		}
		runtime.KeepAlive(kept)
	})
}

// rawRequest sends a request as it is, and reads the head of the response.
func rawRequest(t *testing.T, address, request string) (io.ReadWriteCloser, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go io.WriteString(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, response
}

// A request whose body does not come is answered all the same, and does not hold up
// a shutdown.
func TestUnreadBody(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		if tr.http2 {
			t.Skip("a body is a stream of its own")
		}
		for _, head := range []string{"GET / HTTP/1.1\r\nContent-Length: 10", "POST / HTTP/1.1\r\nContent-Length: 10", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked"} {
			for _, end := range []string{"Close", "Shutdown"} {
				for _, body := range []string{"", "\x30"} {
					handler, sources := connected(nil)
					site := tr.listen(t, handler)
					_, response := rawRequest(t, dialAddr(t, site), head+"\r\nHost: memory\r\n\r\n"+body)
					if !response.Close {
						t.Errorf("%q: the response does not announce that the connection will be closed", head)
					}
					source := <-sources
					source.Dispatch("", "1")
					d := newDecoder(response.Body)
					if e, err := d.next(); e.data != "1" || err != nil {
						t.Errorf("%q: got %q, error %v", head, e.data, err)
					}
					start := time.Now()
					if end == "Close" {
						source.Close()
					}
					if err := site.shutdown(); err != nil {
						t.Error(err)
					}
					if took := time.Since(start); took > 4*time.Second {
						t.Errorf("%q: Shutdown took %v", head, took)
					}
					if e, err := d.next(); err != io.EOF {
						t.Errorf("%q: got %+v, error %v; want the end", head, e, err)
					}
				}
			}
		}
	})
}

// The files of a form that a handler has parsed are removed with its request, also if
// its stream is detached.
func TestFormFiles(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		dir := t.TempDir()
		t.Setenv("TMPDIR", dir)
		files := func() int {
			list, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		sources := make(chan *sse.EventSource, 1)
		site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(0); err != nil || files() != 1 {
				t.Errorf("ParseMultipartForm: error %v, %d files; want 1", err, files())
			}
			sse.Serve(w, r, nil, func(source *sse.EventSource) { sources <- source })
		}))
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("file", "name")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(bytes.Repeat([]byte("x"), 1000))
		w.Close()
		response, err := site.client.Post("http://memory/", w.FormDataContentType(), &form)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		source := <-sources
		source.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Error(err)
		}
		eventually(t, 10*time.Second, "the file is removed", func() bool { return files() == 0 })
	})
}

// The connection of a stream with an answered body carries the next request.
func TestReadBody(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		if tr.detached {
			t.Skip("a connection that may be detached says that it will be closed")
		}
		addresses := make(map[string]bool)
		site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			addresses[r.RemoteAddr] = true
			source, err := sse.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer source.Close()
			source.Dispatch("", string(body))
		}))
		for i := range 5 {
			response, err := site.client.Post("http://memory/", "text/plain", strings.NewReader(fmt.Sprint("hello", i)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			if want := fmt.Sprintf(":\ndata: hello%d\n\n", i); string(got) != want || err != nil {
				t.Errorf("got %q, error %v; want %q", got, err, want)
			}
			response.Body.Close()
		}
		if len(addresses) != 1 {
			t.Errorf("%d connections, want 1", len(addresses))
		}
	})
}

// One large event to a slow client: the deadline is extended while the client gets
// on, and what is behind the event arrives as well.
func TestSlowProgress(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := &sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: 5 * time.Second, KeepAlive: -1}}
		st := tr.serve(t, group).open()
		synctest.Wait()
		large := strings.Repeat("x", 900<<10)
		group.Dispatch("", large)
		group.Dispatch("", "behind")
		d := newDecoder(&slowReader{r: st.response.Body, piece: 8 << 10, pause: 100 * time.Millisecond}) // 80 kB/s
		for _, want := range []string{large, "behind"} {
			if e, err := d.next(); err != nil || e.data != want {
				t.Fatalf("got %d bytes, error %v; want %d", len(e.data), err, len(want))
			}
		}
		group.CloseAll()
	})
}

// A slowReader reads a piece, and pauses, in fake time.
type slowReader struct {
	r     io.Reader
	piece int
	pause time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	time.Sleep(r.pause) // fake
	return r.r.Read(p[:min(len(p), r.piece)])
}
