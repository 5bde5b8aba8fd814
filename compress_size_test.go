package sse_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// How much is saved, as a check that pieces are shared.
func TestCompressedSize(t *testing.T) {
	const events = 300
	for _, tt := range []struct {
		name string
		make func(i int) string
		most int // bytes per event
	}{
		{"card", card, 125},
		{"page", bigPage, 400},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			handler, sources := connected(gzipped)
			site := tr.serve(t, handler)
			var group sse.Set
			var reading sync.WaitGroup
			for range 3 {
				st, source := rawGzip(t, site), <-sources
				group.Add(source)
				reading.Go(func() {
					n, err := io.Copy(io.Discard, st)
					if got := int(n) / events; got > tt.most || err != nil {
						t.Errorf("%s: %d bytes per event, error %v; want %d at most", tt.name, got, err, tt.most)
					}
				})
			}
			for i := range events {
				group.Dispatch("", tt.make(i))
			}
			synctest.Wait()
			group.CloseAll()
			reading.Wait()
		})
	}
}

// Keep-alives of a quiet set do not tear its members' windows: its next event is as small
// as it is without them, also for members with different intervals.
func TestCompressedQuiet(t *testing.T) {
	const events = 100
	for _, tt := range []struct {
		name       string
		make       func(i int) string
		keepAlives []time.Duration // of the members
		most       int             // bytes per event, keep-alives included
	}{
		{"card", card, []time.Duration{-1}, 100},
		{"card", card, []time.Duration{30 * time.Second, 30 * time.Second}, 130},
		{"card", card, []time.Duration{30 * time.Second, 20 * time.Second, 7 * time.Second}, 160},
		{"page", bigPage, []time.Duration{-1}, 410},
		{"page", bigPage, []time.Duration{30 * time.Second, 30 * time.Second}, 430},
	} {
		overEach(t, func(t *testing.T, tr transport) {
			var group sse.Set
			var reading sync.WaitGroup
			i, sources := 0, make(chan *sse.EventSource)
			site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				o := &sse.AcceptOptions{Compress: gzipped.Compress, KeepAlive: tt.keepAlives[i]}
				sse.Serve(w, r, o, func(source *sse.EventSource) { sources <- source })
			}))
			for i = range tt.keepAlives {
				opened := make(chan io.Reader, 1)
				go func() { opened <- rawGzip(t, site) }()
				group.Add(<-sources)
				st := <-opened
				reading.Go(func() {
					n, err := io.Copy(io.Discard, st)
					if got := int(n) / events; got > tt.most || err != nil {
						t.Errorf("%s, %v: %d bytes per event, error %v; want %d at most", tt.name, tt.keepAlives, got, err, tt.most)
					}
				})
			}
			for i := range events {
				group.Dispatch("", tt.make(i))
				time.Sleep(50 * time.Second) // fake; no keep-alive is due with an event
			}
			group.CloseAll()
			reading.Wait()
		})
	}
}

// rawGzip opens a stream that is not decoded.
func rawGzip(t *testing.T, site *site) io.Reader {
	st := site.open("Accept-Encoding", "gzip")
	if got := st.response.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("got Content-Encoding %q, want gzip", got)
	}
	return st.response.Body
}

// card returns the i-th state of a board's card, of 742 bytes.
func card(i int) string {
	s := fmt.Sprintf(`<article id="card-%d" class="card column-%d" hx-swap-oob="true"><h3>Card number %d</h3><p>`, i%40, i%3, i*7919%1000)
	for j := range 12 {
		s += fmt.Sprintf("%s %x ", []string{"planned", "started", "reviewed", "released"}[(i*7+j*3)%4], uint32(i*31+j)*2654435761%65536)
	}
	return (s + strings.Repeat(`<span class="tag">tag</span>`, 20))[:720] + "</p></article>"
}

// bigPage returns the i-th state of a page of 20 KB, of which six rows change.
func bigPage(i int) string {
	var b strings.Builder
	for row := range 180 {
		n := row * 7919
		if row%60 == i%60 {
			n += i
		}
		fmt.Fprintf(&b, `<tr id="row-%d"><td class="name">Row %d</td><td class="number">%x</td><td class="state">%s</td></tr>`+"\n", row, row, uint32(n)*2654435761, []string{"open", "closed", "late"}[n%3])
	}
	return b.String()
}

// A stream that expires ends with its last event, whole, and a clean end.
func TestCompressedExpires(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		var group sse.Set
		group.AcceptOptions = &sse.AcceptOptions{
			Compress: gzipped.Compress, Expires: time.Now().Add(time.Minute), ExpiredEvent: sse.Event{Type: "expired", Data: "log in"},
		}
		st := tr.serve(t, &group).open()
		synctest.Wait()
		group.Dispatch("", "one")
		st.want("message|one", "expired|log in")
		st.wantEnd()
		if !st.response.Uncompressed {
			t.Error("the stream was not compressed")
		}
	})
}
