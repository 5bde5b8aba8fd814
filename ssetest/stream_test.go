package ssetest_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// wantNext checks the data of the next events.
func wantNext(t *testing.T, r interface{ Next() sse.Event }, data ...string) {
	t.Helper()
	for _, want := range data {
		if e := r.Next(); e.Data != want {
			t.Fatalf("got %.50q, want %.50q", e.Data, want)
		}
	}
}

// A client that reconnects receives what it missed, each event once.
func TestReconnect(t *testing.T) {
	overEach(t, func(t *testing.T, k kind) {
		var group sse.Set
		var ids []string
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ids = append(ids, r.Header.Get("Last-Event-ID"))
			group.ServeHTTP(w, r)
		}))
		defer server.Close()
		st := server.Open(t, "/")
		ssetest.AwaitLen(t, &group, 1)
		group.Dispatch("", "one")
		one := st.Next()
		group.Dispatch("", "two") // recorded or not, it arrives once
		st.Close()
		if err := st.End(); err == nil {
			t.Error("a stream that was left has ended cleanly")
		}
		ssetest.AwaitLen(t, &group, 0)
		group.Dispatch("", "three")
		st.Reconnect()
		wantNext(t, st, "two", "three")
		ssetest.AwaitLen(t, &group, 1)
		group.Dispatch("", "four")
		wantNext(t, st, "four")
		four := st.Events()[3]
		st.Reconnect() // without a Close
		ssetest.AwaitLen(t, &group, 1)
		group.Dispatch("", "five")
		wantNext(t, st, "five")
		if len(ids) != 3 || ids[0] != "" || ids[1] < one.ID || ids[2] != four.ID {
			t.Errorf("got ids %q; the first event's is %s, the fourth's %s", ids, one.ID, four.ID)
		}
		if n := len(st.Events()); n != 5 {
			t.Errorf("%d events, want 5", n)
		}
	})
}

// Reconnect sends the id that the HTML standard requires, also from a block
// without data.
func TestReconnectID(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		streams := []string{"data: x\n\n", "id: 1\ndata: x\n\n", "id: 2\n\n", "data: x\n\nid: 3\n", "id\ndata: x\n\n", "id:  4 \n\n", "id: \x01\n\n", ""}
		var ids, bodies []string
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, ok := r.Header["Last-Event-Id"]
			ids = append(ids, strings.Join(id, "+")+"/"+strconv.FormatBool(ok))
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
			w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
			io.WriteString(w, streams[len(ids)-1])
		}))
		defer server.Close()
		r, err := http.NewRequest("POST", "/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Last-Event-ID", "0")
		st := server.Do(t, r)
		for range streams[1:] {
			if err := st.End(); err != nil {
				t.Error(err)
			}
			st.Reconnect()
		}
		if got, want := strings.Join(ids, " "), "0/true 0/true 1/true 2/true 2/true /false 4/true /false"; got != want {
			t.Errorf("got ids %s, want %s", got, want)
		}
		if got := strings.Join(bodies, " "); got != "body body body body body body body body" {
			t.Errorf("got bodies %s", got)
		}
	})
}

// Other clients do not wait for a stalled one, which the server disconnects after
// the write timeout.
func TestStall(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: time.Minute}}
		server := k.serve(&group)
		defer server.Close()
		stalled, reading := server.Open(t, "/"), server.Open(t, "/")
		stalled.Stall()
		stalled.Stall() // a second call does nothing
		ssetest.AwaitLen(t, &group, 2)
		start := time.Now()
		group.Dispatch("", "small")
		group.Dispatch("", strings.Repeat("x", 64<<10))
		wantNext(t, reading, "small", strings.Repeat("x", 64<<10))
		wantWithin(t, start, time.Second/10, "reading")
		time.Sleep(59 * time.Second) // fake: it still has time
		if n := len(stalled.Events()); n != 0 || group.Len() != 2 {
			t.Errorf("%d events, %d members", n, group.Len())
		}
		time.Sleep(3 * time.Second) // fake
		if n := len(stalled.Events()); n != 0 || group.Len() != 1 {
			t.Errorf("%d events, %d members", n, group.Len())
		}
		stalled.Resume()
		if err := stalled.End(); err == nil || len(stalled.Events()) > 1 {
			t.Errorf("%d events, ended with %v", len(stalled.Events()), err)
		}
		stalled.Reconnect()
		ssetest.AwaitLen(t, &group, 2)
	})
}

// Writes to a stalled client soon block on a socket too.
func TestStallOnSocket(t *testing.T) {
	overEach(t, func(t *testing.T, k kind) {
		if k.memory {
			return
		}
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{WriteTimeout: time.Second}}
		server := k.serve(&group)
		defer server.Close()
		server.Open(t, "/").Stall()
		ssetest.AwaitLen(t, &group, 1)
		group.Dispatch("", big)
		ssetest.AwaitLen(t, &group, 0)
	})
}

// A stalled client that resumes receives everything, and one that is closed while
// stalled receives nothing.
func TestResume(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		var group sse.Set
		server := k.serve(&group)
		defer server.Close()
		st, other := server.Open(t, "/"), server.Open(t, "/")
		other.Stall()
		ssetest.AwaitLen(t, &group, 2)
		for round := range 3 {
			st.Stall()
			for i := range 100 {
				group.Dispatch("", strconv.Itoa(i)+strings.Repeat(".", 1000))
			}
			time.Sleep(time.Second) // fake
			if n := len(st.Events()); n != 100*round {
				t.Errorf("%d events recorded while it was stalled", n-100*round)
			}
			st.Resume()
			for i := range 100 {
				wantNext(t, st, strconv.Itoa(i)+strings.Repeat(".", 1000))
			}
		}
		other.Close()
		ssetest.AwaitLen(t, &group, 1)
		other.Resume()
		if n := len(other.Events()); n != 0 || other.End() == nil {
			t.Errorf("%d events, ended with %v", n, other.End())
		}
	})
}

// In an hour of silence only keep-alives are sent, and the event after it arrives
// on time.
func TestFakeTime(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		server := k.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, nil, func(source *sse.EventSource) {
				go func() {
					select {
					case <-time.After(time.Hour):
						source.Dispatch("", "an hour later")
					case <-source.Done():
					}
				}()
			})
		}))
		defer server.Close()
		start := time.Now()
		st := server.Open(t, "/")
		st.Timeout = -1
		wantNext(t, st, "an hour later")
		if d := time.Since(start); d != time.Hour {
			t.Errorf("after %v", d)
		}
		server.Open(t, "/")
	})
}

// After synctest.Wait all dispatched events are recorded.
func TestEventsAfterWait(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		var group sse.Set
		server := k.serve(&group)
		defer server.Close()
		st := server.Open(t, "/")
		synctest.Wait()
		for i := range 100 {
			group.Dispatch("", strconv.Itoa(i))
		}
		synctest.Wait()
		if n := len(st.Events()); n != 100 {
			t.Errorf("%d events", n)
		}
	})
}

// Streams that the test does not close are closed after it, one by one.
func TestStreamsEndWithTheTest(t *testing.T) {
	overEach(t, func(t *testing.T, k kind) {
		var group sse.Set
		server := k.serve(&group)
		defer server.Close()
		if s := failures(func(t testing.TB) {
			server.Open(t, "/")
			server.Open(t, "/").Stall()
			server.Open(t, "/").Close()
			ssetest.AwaitLen(t, &group, 2)
		}); s != "" {
			t.Error(s)
		}
		ssetest.AwaitLen(t, &group, 0)
	})
}

// A Recorder of a client's events, which arrive over several streams.
func TestRecordClient(t *testing.T) {
	inMemory(t, func(t *testing.T, k kind) {
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{Retry: time.Second}}
		server := k.serve(&group)
		defer server.Close()
		client := sse.Client{URL: server.URL, HTTPClient: server.Client()}
		recorder := ssetest.Record(t, client.Events(t.Context()))
		for _, data := range []string{"one", "two", "three"} {
			ssetest.AwaitLen(t, &group, 1)
			group.Dispatch("", data)
			wantNext(t, recorder, data)
			group.CloseAll()
			ssetest.AwaitLen(t, &group, 0)
		}
		if n := len(recorder.Events()); n != 3 {
			t.Errorf("%d events", n)
		}
	})
}

// The error that ends a loop is the recorder's.
func TestRecordEnd(t *testing.T) {
	broken := errors.New("broken")
	recorder := ssetest.Record(t, func(yield func(sse.Event, error) bool) {
		_ = yield(sse.Event{Data: "one"}, nil) && yield(sse.Event{}, broken)
	})
	if err := recorder.End(); err != broken {
		t.Errorf("ended with %v", err)
	}
	wantNext(t, recorder, "one")
	recorder = ssetest.Record(t, sse.Events(strings.NewReader("data: two\n\ndata: unfinished")))
	wantNext(t, recorder, "two")
	if err := recorder.End(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
