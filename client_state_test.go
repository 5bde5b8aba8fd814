package sse_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// Only one loop runs at a time, and the next one continues where it stopped.
func TestClientLoops(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		script, client := tr.scripted(t, stays("id: 1\ndata: x\n\nid: 2\ndata: y\n\n"), stays("data: z\n\n"))
		client.ResumeAfter = "0"
		for range client.Events(t.Context()) {
			for e, err := range client.Events(t.Context()) {
				if err == nil || !strings.Contains(err.Error(), "is already running") {
					t.Errorf("got %+v, error %v in a loop within a loop; want one that it is already running", e, err)
				}
			}
			if client.ReadyState() != sse.Open {
				t.Errorf("got state %v in the loop, want Open", client.ReadyState())
			}
			break
		}
		if client.ReadyState() != sse.Closed {
			t.Errorf("got state %v after the loop, want Closed", client.ReadyState())
		}
		synctest.Wait()
		if first := script.got()[0]; first.Context().Err() == nil {
			t.Error("the connection is still open")
		}
		start := time.Now()
		for e, err := range client.Events(t.Context()) {
			if show(e) != "message|z|1" || err != nil || time.Since(start) > 0 {
				t.Errorf("got %+v, error %v, after %v; want z with the id 1 at once", e, err, time.Since(start))
			}
			break
		}
		if got := strings.Join(script.lastEventIDs(), " "); got != "0 1" {
			t.Errorf("got the Last-Event-IDs %s, want 0 1", got)
		}
	})
}

// A loop that is left while an error is pending is not called with the error.
func TestClientLeftAndCanceled(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		_, client := tr.scripted(t, stays("data: x\n\n"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range client.Events(ctx) {
			cancel()
			break // or else the runtime panics
		}
	})
}

// However a connection ends, its body is closed and its context is done, with any
// transport.
func TestClientCloses(t *testing.T) {
	for _, tt := range []struct {
		what   string
		status int
		body   string
		leave  bool
	}{
		{"the end of the stream", 200, "data: x\n\n", false},
		{"an event too large", 200, "data: 12345678901234567890\n\n", false},
		{"the end of the loop", 200, "data: x\n\n", true},
		{"no content", 204, "", false},
		{"an error", 404, "none", false},
	} {
		closed := 0
		var requested []context.Context
		client := sse.Client{URL: "http://memory/", Retry: -1, MaxEvent: 10}
		client.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			requested = append(requested, r.Context())
			return &http.Response{
				StatusCode: tt.status,
				Header:     http.Header{"Content-Type": {"text/event-stream"}},
				Body:       &body{strings.NewReader(tt.body), &closed},
				Request:    r,
			}, nil
		})}
		for range client.Events(t.Context()) {
			if tt.leave {
				break
			}
		}
		if closed != 1 || len(requested) != 1 || requested[0].Err() == nil {
			t.Errorf("%s: got %d bodies closed and %d requests, want 1 each, with a context that is done",
				tt.what, closed, len(requested))
		}
	}
}

type body struct {
	io.Reader
	closed *int
}

func (b *body) Close() error {
	*b.closed++
	return nil
}

// A panic in the loop's body closes the connection.
func TestClientPanics(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		script, client := tr.scripted(t, stays("data: x\n\n"))
		func() {
			defer func() { recover() }()
			for range client.Events(t.Context()) {
				panic("in the loop")
			}
		}()
		synctest.Wait()
		if script.got()[0].Context().Err() == nil || client.ReadyState() != sse.Closed {
			t.Errorf("the connection is still open, or the state %v is not Closed", client.ReadyState())
		}
	})
}

// The state and the last event ID can be read from outside while the loop waits.
func TestClientState(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		answer, say := make(chan bool), make(chan string)
		_, client := tr.scripted(t, func(w http.ResponseWriter, r *http.Request) {
			<-answer
			says()(w, r)
			for s := range say {
				io.WriteString(w, s)
				w.(http.Flusher).Flush()
			}
		})
		var hooks []string
		client.OnOpen = func(r *http.Response) {
			hooks = append(hooks, fmt.Sprintf("open %d %v", r.StatusCode, client.ReadyState()))
		}
		client.OnComment = func(text string) { hooks = append(hooks, "comment"+text) }
		client.OnError = func(err error, wait time.Duration) {
			hooks = append(hooks, fmt.Sprintf("error %v %v %v", err, wait >= 3*time.Second, client.ReadyState()))
		}
		want := func(state sse.ReadyState, id string) {
			t.Helper()
			synctest.Wait()
			if client.ReadyState() != state || client.LastEventID() != id {
				t.Errorf("got state %v, id %q; want %v, %q", client.ReadyState(), client.LastEventID(), state, id)
			}
		}
		want(sse.Connecting, "")
		ended := make(chan error)
		go func() {
			_, err := all(t, t.Context(), client)
			ended <- err
		}()
		want(sse.Connecting, "")
		answer <- true
		want(sse.Open, "")
		say <- "id: 1\n"
		want(sse.Open, "")
		say <- ": hello\n\n"
		want(sse.Open, "1")
		say <- "data: x\nid: 2\n\n"
		want(sse.Open, "2")
		close(say)
		want(sse.Connecting, "2")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want(sse.Closed, "2")
		if got, want := fmt.Sprint(hooks), "[open 200 open comment hello error EOF true connecting]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
