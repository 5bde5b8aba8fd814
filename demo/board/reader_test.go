package board

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// A reader follows a stream.
type reader struct {
	t      *testing.T
	events <-chan sse.Event
}

// listen opens a stream as a visitor in Asia/Kolkata.
func listen(t *testing.T, url, visitor string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "visitor", Value: visitor})
	req.AddCookie(&http.Cookie{Name: "timezone", Value: "Asia/Kolkata"})
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan sse.Event, 1024)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(events)
		decode(resp.Body, events)
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		resp.Body.Close()
	})
	return &reader{t, events}
}

// decode sends a stream's events to a channel.
func decode(r io.Reader, events chan<- sse.Event) {
	var e sse.Event
	var data []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			if data != nil {
				e.Data = strings.Join(data, "\n")
				events <- e
			}
			e, data = sse.Event{}, nil
		case field == "id":
			e.ID = value
		case field == "event":
			e.Type = value
		case field == "data":
			data = append(data, value)
		}
	}
}

// until returns the data of the next event of a type that contains all of the words.
func (r *reader) until(typ string, words ...string) string {
	r.t.Helper()
	late := time.After(5 * time.Second)
	last := "none"
next:
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("the stream ended without an event %q with %q; the last one: %s", typ, words, last)
			}
			if e.ID != "" && e.Type != "" && e.Type != "board" {
				r.t.Errorf("event %q: got id %q, want none: the page could not resume the board", e.Type, e.ID)
			}
			if e.Type != typ {
				continue
			}
			last = e.Data
			for _, word := range words {
				if !strings.Contains(e.Data, word) {
					continue next
				}
			}
			return e.Data
		case <-late:
			r.t.Fatalf("no event %q with %q after 5 s; the last one: %s", typ, words, last)
		}
	}
}
