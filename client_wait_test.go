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

// After each connection the client waits at least for the time in want, and at most
// for one and a half times that time.
func TestClientWaits(t *testing.T) {
	type waits = []time.Duration
	type handlers = []http.HandlerFunc
	const s, ms = time.Second, time.Millisecond
	whole := answers(200, "id: 5\nretry: 500\n", "Content-Type", "text/event-stream", "Content-Length", "17")
	event, none, cut := says("data: x\n\n"), says(":\n"), breaks()
	lasts := func(d time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			none(w, r)
			time.Sleep(d)
		}
	}
	times := func(n int, a http.HandlerFunc) handlers { return slices.Repeat(handlers{a}, n) }
	for _, tt := range []struct {
		what    string
		client  *sse.Client
		answers handlers
		want    waits
	}{
		{"by default", &sse.Client{}, times(3, event), waits{3 * s, 3 * s, 3 * s}},
		{"Retry", &sse.Client{Retry: s}, times(2, event), waits{s, s}},
		{"the server's time", &sse.Client{}, handlers{says("retry: 500\ndata: x\n\n"), event}, waits{500 * ms, 500 * ms}},
		{"the server's time, without a blank line", &sse.Client{}, handlers{says("retry: 500\n"), event}, waits{500 * ms, 500 * ms}},
		{"the server's time, before the connection breaks", &sse.Client{}, handlers{breaks("retry: 500\nretry: 1"), event}, waits{500 * ms, 500 * ms}},
		{"the server's time, in one piece with the end", &sse.Client{}, handlers{whole, event}, waits{500 * ms, 500 * ms}},
		{"a server's time that is too short", &sse.Client{}, handlers{says("retry: 0\ndata: x\n\n"), event}, waits{100 * ms, 100 * ms}},
		{"a Retry that is too short", &sse.Client{Retry: 1}, times(1, event), waits{100 * ms}},
		{"a server's time beyond MaxRetry", &sse.Client{}, handlers{says("retry: 60000\n"), cut, cut}, waits{60 * s, 60 * s, 60 * s}},
		{"doubled with each failure", &sse.Client{}, times(6, cut), waits{3 * s, 6 * s, 12 * s, 24 * s, 30 * s, 30 * s}},
		{"doubled without an event", &sse.Client{Retry: s}, times(3, none), waits{s, 2 * s, 4 * s}},
		{"reset by an event", &sse.Client{}, handlers{cut, cut, event, cut, cut, event}, waits{3 * s, 6 * s, 3 * s, 3 * s, 6 * s, 3 * s}},
		{"doubled up to MaxRetry", &sse.Client{Retry: s, MaxRetry: 3 * s}, times(4, cut), waits{s, 2 * s, 3 * s, 3 * s}},
		{"never doubled", &sse.Client{Retry: s, MaxRetry: -1}, times(4, cut), waits{s, s, s, s}},
		{"reset by a long connection", &sse.Client{Retry: s}, handlers{cut, cut, lasts(30 * s), cut}, waits{s, 2 * s, s, s}},
		{"not reset by a short connection", &sse.Client{Retry: s}, handlers{cut, cut, lasts(29 * s), cut}, waits{s, 2 * s, 4 * s, 8 * s}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				script, client := tr.scripted(t, tt.answers...)
				client.Retry, client.MaxRetry = tt.client.Retry, tt.client.MaxRetry
				var hooked []time.Duration
				var at []time.Time
				client.OnError = func(_ error, wait time.Duration) {
					hooked, at = append(hooked, wait), append(at, time.Now())
				}
				if _, err := all(t, t.Context(), client); err != nil {
					t.Error(err)
				}
				if len(hooked) != len(tt.want) {
					t.Fatalf("waited %v, want %v", hooked, tt.want)
				}
				requests := script.got()
				for i, want := range tt.want {
					if hooked[i] < want || hooked[i] > want+want/2 {
						t.Errorf("waited %v, want %v", hooked, tt.want)
					}
					if waited := requests[i+1].at.Sub(at[i]); waited != hooked[i] {
						t.Errorf("waited %v, want %v as OnError got", waited, hooked[i])
					}
				}
			})
		})
	}
}

// Clients that lost the same server do not all reconnect at once.
func TestClientJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]int{}
		for range 200 {
			refuse := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") })
			client := sse.Client{URL: "http://memory/", HTTPClient: &http.Client{Transport: refuse}}
			ctx, cancel := context.WithCancel(t.Context())
			client.OnError = func(_ error, wait time.Duration) {
				waits[wait/(300*time.Millisecond)]++
				cancel()
			}
			all(t, ctx, &client)
		}
		for tenth := range 5 {
			if n := waits[10+time.Duration(tenth)]; n < 15 {
				t.Errorf("%d of 200 reconnect after %d tenths of the time, want 15 or more: %v", n, 10+tenth, waits)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A reconnection time of 292 years does not overflow.
func TestClientLongestWait(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		_, client := tr.scripted(t, says("retry: 99999999999999999999\n"))
		ctx, cancel := context.WithCancel(t.Context())
		client.OnError = func(_ error, wait time.Duration) {
			if wait != math.MaxInt64 {
				t.Errorf("waits %v, want %v", wait, time.Duration(math.MaxInt64))
			}
			cancel()
		}
		if _, err := all(t, ctx, client); err != context.Canceled {
			t.Error(err)
		}
	})
}

// Wherever the loop is, it ends with the cause as soon as the context is done, and
// delivers nothing after that.
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
							t.Error("got another request, want none")
						}
						return nil
					}
					client.OnComment = func(string) { t.Error("got a comment, want none") }
					client.OnError = func(error, time.Duration) {
						if ctx.Err() != nil {
							t.Error("got another attempt, want none")
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
						t.Errorf("got %d events, error %v, after %v; want %d, %v, %v",
							events, last, time.Since(start), tt.events, reason, max(tt.after, 0))
					}
					if client.LastEventID() != tt.id || client.ReadyState() != sse.Closed {
						t.Errorf("got last event ID %q, state %v; want %q, Closed",
							client.LastEventID(), client.ReadyState(), tt.id)
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

// A loop that ends at its context's deadline returns context.DeadlineExceeded.
func TestClientDeadline(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		_, client := tr.scripted(t, stays("data: x\n\n"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if events, err := all(t, ctx, client); len(events) != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q, error %v; want one event, %v", events, err, context.DeadlineExceeded)
		}
	})
}

// The client leaves a server that falls silent. Every byte ends the silence.
func TestClientIdleTimeout(t *testing.T) {
	pause := func(w io.Writer, d time.Duration, pieces ...string) {
		for _, p := range pieces {
			time.Sleep(d)
			io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	const limit = 10 * time.Second
	for _, tt := range []struct {
		what   string
		answer http.HandlerFunc
		idle   bool
		after  time.Duration // when the connection ends
	}{
		{"silence in the stream", stays("data: x\n\n"), true, limit},
		{"silence in a line", stays("data: x\n\ndata: y"), true, limit},
		{"silence before the answer", silent, true, limit},
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
						t.Errorf("lost after %v: %v; want %v, a timeout: %v", time.Since(start), err, tt.after, tt.idle)
					}
					if tt.idle && !strings.Contains(err.Error(), "silent for the IdleTimeout of 10s") {
						t.Error(err)
					}
				}
				if _, err := all(t, t.Context(), client); err != nil || len(script.got()) != 2 {
					t.Errorf("got error %v after %d requests, want none after 2", err, len(script.got()))
				}
			})
		})
	}
}

// The time that the program spends on events and hooks does not count as the server's
// silence.
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
			t.Errorf("got %d events of %d requests, want 2 of 2", events, len(script.got()))
		}
	})
}
