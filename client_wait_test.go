package sse_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// How long the client waits after each connection: at least so long, and at most
// half as long again.
func TestClientWaits(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	event, none, cut := says("data: x\n\n"), says(":\n"), breaks()
	times := func(n int, a http.HandlerFunc) []http.HandlerFunc { return slices.Repeat([]http.HandlerFunc{a}, n) }
	for _, tt := range []struct {
		what    string
		client  *sse.Client
		answers []http.HandlerFunc
		want    []time.Duration
	}{
		{"by itself", &sse.Client{}, times(3, event), []time.Duration{3 * s, 3 * s, 3 * s}},
		{"as it is set to", &sse.Client{Retry: s}, times(2, event), []time.Duration{s, s}},
		{"as the server tells", &sse.Client{}, []http.HandlerFunc{says("retry: 500\ndata: x\n\n"), event}, []time.Duration{500 * ms, 500 * ms}},
		{"as the server tells without a blank line", &sse.Client{}, []http.HandlerFunc{says("retry: 500\n"), event}, []time.Duration{500 * ms, 500 * ms}},
		{"as the server tells before it breaks off", &sse.Client{}, []http.HandlerFunc{breaks("retry: 500\nretry: 1"), event}, []time.Duration{500 * ms, 500 * ms}},
		{"as the server tells in one piece with the end", &sse.Client{}, []http.HandlerFunc{answers(200, "id: 5\nretry: 500\n", "Content-Type", "text/event-stream", "Content-Length", "17"), event}, []time.Duration{500 * ms, 500 * ms}},
		{"not in no time", &sse.Client{}, []http.HandlerFunc{says("retry: 0\ndata: x\n\n"), event}, []time.Duration{100 * ms, 100 * ms}},
		{"not in no time of its own either", &sse.Client{Retry: 1}, times(1, event), []time.Duration{100 * ms}},
		{"as the server tells, beyond the limit of doubling", &sse.Client{}, []http.HandlerFunc{says("retry: 60000\n"), cut, cut}, []time.Duration{60 * s, 60 * s, 60 * s}},
		{"double with each failure", &sse.Client{}, times(6, cut), []time.Duration{3 * s, 6 * s, 12 * s, 24 * s, 30 * s, 30 * s}},
		{"double without an event", &sse.Client{Retry: s}, times(3, none), []time.Duration{s, 2 * s, 4 * s}},
		{"from the beginning after an event", &sse.Client{}, []http.HandlerFunc{cut, cut, event, cut, cut, event}, []time.Duration{3 * s, 6 * s, 3 * s, 3 * s, 6 * s, 3 * s}},
		{"double up to the limit", &sse.Client{Retry: s, MaxRetry: 3 * s}, times(4, cut), []time.Duration{s, 2 * s, 3 * s, 3 * s}},
		{"never double", &sse.Client{Retry: s, MaxRetry: -1}, times(4, cut), []time.Duration{s, s, s, s}},
		{"from the beginning after a long connection", &sse.Client{Retry: s}, []http.HandlerFunc{cut, cut, func(w http.ResponseWriter, r *http.Request) {
			says(":\n")(w, r)
			time.Sleep(30 * s)
		}, cut}, []time.Duration{s, 2 * s, s, s}},
		{"on after a short one", &sse.Client{Retry: s}, []http.HandlerFunc{cut, cut, func(w http.ResponseWriter, r *http.Request) {
			says(":\n")(w, r)
			time.Sleep(29 * s)
		}, cut}, []time.Duration{s, 2 * s, 4 * s, 8 * s}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				script, client := tr.scripted(t, tt.answers...)
				client.Retry, client.MaxRetry = tt.client.Retry, tt.client.MaxRetry
				var told []time.Duration
				var at []time.Time
				client.OnError = func(_ error, wait time.Duration) { told, at = append(told, wait), append(at, time.Now()) }
				if _, err := all(t, t.Context(), client); err != nil {
					t.Error(err)
				}
				if len(told) != len(tt.want) {
					t.Fatalf("waited %v, want %v", told, tt.want)
				}
				requests := script.got()
				for i, want := range tt.want {
					if told[i] < want || told[i] > want+want/2 {
						t.Errorf("waited %v, want %v", told, tt.want)
					}
					if waited := requests[i+1].at.Sub(at[i]); waited != told[i] {
						t.Errorf("waited %v instead of %v", waited, told[i])
					}
				}
			})
		})
	}
}

// Clients that lost one server do not come back at once.
func TestClientJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]int{}
		for range 200 {
			client := sse.Client{URL: "http://memory/", HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				return nil, errors.New("refused")
			})}}
			ctx, cancel := context.WithCancel(t.Context())
			client.OnError = func(_ error, wait time.Duration) {
				waits[wait/(300*time.Millisecond)]++
				cancel()
			}
			all(t, ctx, &client)
		}
		for tenth := range 5 {
			if n := waits[10+time.Duration(tenth)]; n < 15 {
				t.Errorf("%d of 200 came back after %d tenths of the time: %v", n, 10+tenth, waits)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A reconnection time of 292 years is no overflow.
func TestClientLongestWait(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		_, client := tr.scripted(t, says("retry: 99999999999999999999\n"))
		ctx, cancel := context.WithCancel(t.Context())
		client.OnError = func(_ error, wait time.Duration) {
			if wait != math.MaxInt64 {
				t.Errorf("waits %v", wait)
			}
			cancel()
		}
		if _, err := all(t, ctx, client); err != context.Canceled {
			t.Error(err)
		}
	})
}

// Wherever the loop is: once the context is done it ends at once, with the cause,
// and nothing is delivered.
func TestClientCancel(t *testing.T) {
	reason := errors.New("reason")
	for _, tt := range []struct {
		where  string
		answer http.HandlerFunc
		after  time.Duration // when the context is done; 0: in the loop, at the first event
		events int
		id     string
	}{
		{"before", nil, -1, 0, ""},
		{"in the request", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, time.Second, 0, ""},
		{"in a read", stays("id: 1\ndata: x\n\nid: 2\n\nid: 3\ndata: y"), time.Second, 1, "2"},
		{"in a wait", says("id: 1\ndata: x\n\n"), time.Second, 1, "1"},
		{"in the loop", stays("id: 1\ndata: x\n\nid: 2\ndata: y\n\n"), 0, 1, "1"},
		{"in the loop, before comments", stays("id: 1\ndata: x\n\n:\n:\n\n"), 0, 1, "1"},
		{"in the loop, in another piece", stays("id: 1\ndata: x\n\n", "id: 2\ndata: y\n\n"), 0, 1, "1"},
		{"in the loop, at the end", says("id: 1\ndata: x\n\n"), 0, 1, "1"},
		{"in the body of an error", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, time.Second / 2, 0, ""},
	} {
		for _, idle := range []time.Duration{0, time.Minute} {
			t.Run(tt.where, func(t *testing.T) {
				overEach(t, func(t *testing.T, tr transport) {
					script, client := tr.scripted(t, tt.answer)
					client.IdleTimeout = idle
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					client.OnRequest = func(*http.Request) error {
						if ctx.Err() != nil {
							t.Error("another request")
						}
						return nil
					}
					client.OnComment = func(string) { t.Error("a comment") }
					client.OnError = func(error, time.Duration) {
						if ctx.Err() != nil {
							t.Error("another attempt")
						}
					}
					start := time.Now()
					switch {
					case tt.after < 0:
						cancel(reason)
					case tt.after > 0:
						time.AfterFunc(tt.after, func() { cancel(reason) })
					}
					events := 0
					var last error
					for _, err := range client.Events(ctx) {
						if last = err; err == nil {
							events++
							if tt.after == 0 {
								cancel(reason)
							}
						}
					}
					if events != tt.events || last != reason || time.Since(start) != max(tt.after, 0) {
						t.Errorf("%d events, error %v, after %v", events, last, time.Since(start))
					}
					if client.LastEventID() != tt.id || client.ReadyState() != sse.Closed {
						t.Errorf("last event ID %q, state %v", client.LastEventID(), client.ReadyState())
					}
					synctest.Wait()
					for _, r := range script.got() {
						if r.Context().Err() == nil {
							t.Error("a connection is still open")
						}
					}
				})
			})
		}
	}
}

// A deadline is reported as one.
func TestClientDeadline(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		_, client := tr.scripted(t, stays("data: x\n\n"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if events, err := all(t, ctx, client); len(events) != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q, error %v", events, err)
		}
	})
}

// A server that falls silent is left; every byte tells that it is there.
func TestClientIdleTimeout(t *testing.T) {
	pause := func(w io.Writer, d time.Duration, pieces ...string) {
		for _, p := range pieces {
			time.Sleep(d)
			io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
	const limit = 10 * time.Second
	for _, tt := range []struct {
		what   string
		answer http.HandlerFunc
		idle   bool
		after  time.Duration // when the connection ends
	}{
		{"silence in the stream", stays("data: x\n\n"), true, limit},
		{"silence in a line", stays("data: x\n\ndata: y"), true, limit},
		{"silence before the answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true, limit},
		{"an answer in time", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(limit - 1)
			stays("data: x\n\n")(w, r)
		}, true, 2*limit - 1},
		{"events", func(w http.ResponseWriter, r *http.Request) {
			says()(w, r)
			pause(w, limit-1, "data: x\n\n", "data: x\n\n", "data: x\n\n")
		}, false, 3 * (limit - 1)},
		{"comments", func(w http.ResponseWriter, r *http.Request) {
			says()(w, r)
			pause(w, limit-1, ":\n", ":", "\n", "d", "\n")
		}, false, 5 * (limit - 1)},
	} {
		t.Run(tt.what, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				script, client := tr.scripted(t, tt.answer)
				client.IdleTimeout = limit
				start := time.Now()
				client.OnError = func(err error, _ time.Duration) {
					if errors.Is(err, os.ErrDeadlineExceeded) != tt.idle || time.Since(start) != tt.after {
						t.Errorf("lost after %v: %v", time.Since(start), err)
					}
					if tt.idle && !strings.Contains(err.Error(), "silent for the IdleTimeout of 10s") {
						t.Error(err)
					}
				}
				if _, err := all(t, t.Context(), client); err != nil || len(script.got()) != 2 {
					t.Errorf("error %v after %d requests", err, len(script.got()))
				}
			})
		})
	}
}

// The time that the program takes for an event, or for its hooks, is not the
// server's silence.
func TestClientSlowProgram(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		script, client := tr.scripted(t, says("data: x\n\n", "data: y\n\n"))
		client.IdleTimeout = time.Second
		slow := func() { time.Sleep(time.Minute) }
		client.OnRequest = func(*http.Request) error { slow(); return nil }
		client.OnOpen = func(*http.Response) { slow() }
		client.OnError = func(err error, _ time.Duration) {
			if err != io.EOF {
				t.Error(err)
			}
			slow()
		}
		events := 0
		for _, err := range client.Events(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			events++
			slow()
		}
		if events != 2 || len(script.got()) != 2 {
			t.Errorf("%d events of %d requests", events, len(script.got()))
		}
	})
}
