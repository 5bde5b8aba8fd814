package sse_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A stream ends at its time, after what was dispatched before, with an event and a
// reconnection time.
func TestExpires(t *testing.T) {
	for _, way := range []string{"an event", "no event"} {
		t.Run(way, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				o := &sse.AcceptOptions{Expires: time.Now().Add(8 * time.Hour)}
				if way == "an event" {
					o.ExpiredEvent = sse.Event{Type: "expired", Data: "log in again"}
				}
				handler, sources := connected(o)
				st := tr.serve(t, handler).open()
				source := <-sources
				var group sse.Set
				group.Add(source)
				time.Sleep(time.Until(o.Expires) - time.Nanosecond) // fake
				synctest.Wait()
				group.Dispatch("", "1")
				source.Dispatch("", "2")
				if err := source.Err(); err != nil {
					t.Errorf("ended before its time: %v", err)
				}
				time.Sleep(time.Nanosecond) // fake
				synctest.Wait()
				st.want("message|1", "message|2")
				if way == "an event" {
					st.want("expired|log in again")
				}
				st.wantEnd()
				st.wantRetry(time.Second, 5*time.Second)
				if err := source.Err(); !errors.Is(err, sse.ErrExpired) || group.Len() != 0 {
					t.Errorf("ended with %v, %d members; want %v, 0", err, group.Len(), sse.ErrExpired)
				}
			})
		})
	}
}

// A client that comes too late gets what the others got.
func TestExpired(t *testing.T) {
	for _, way := range []string{"Serve", "Set", "Hub"} {
		t.Run(way, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				o := &sse.AcceptOptions{Expires: time.Now(), ExpiredEvent: sse.Event{Type: "expired"}}
				st := tr.serve(t, mount(way, o)).open()
				st.want("expired|")
				st.wantRefused(time.Second, 5*time.Second)
			})
		})
	}
}

// Streams end at random times in the last quarter of their maximum age, and their clients
// miss nothing.
func TestMaxAge(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		const age, streams, events = time.Hour, 20, 180
		group := sse.Set{HistoryAge: time.Hour, AcceptOptions: &sse.AcceptOptions{MaxAge: age}}
		site := tr.serve(t, &group)
		begin := time.Now()
		type result struct {
			ended []time.Duration
			retry string
			err   error
		}
		results := make(chan result, streams)
		for range streams {
			go func() {
				var r result
				st := site.open()
				for next := 0; next < events; {
					e, err := st.next()
					if err != nil {
						r.ended, r.retry = append(r.ended, time.Since(begin)), st.retry
						ms, _ := strconv.Atoi(st.retry)
						time.Sleep(time.Duration(ms) * time.Millisecond) // fake
						st = site.open("Last-Event-ID", st.lastID)
						continue
					}
					if want := strconv.Itoa(next); e.data != want {
						r.err = fmt.Errorf("got event %s, want %s", e.data, want)
						break
					}
					next++
				}
				results <- r
			}()
		}
		synctest.Wait()
		for i := range events {
			group.Dispatch("", strconv.Itoa(i))
			time.Sleep(30 * time.Second) // fake
		}
		ends, retries := make(map[time.Duration]bool), make(map[string]bool)
		for range streams {
			r := <-results
			if r.err != nil || len(r.ended) != 1 || r.ended[0] < age*3/4 || r.ended[0] > age {
				t.Fatalf("ends at %v, error %v; want one from %v to %v", r.ended, r.err, age*3/4, age)
			}
			ends[r.ended[0]], retries[r.retry] = true, true
		}
		if len(ends) < streams/2 || len(retries) < streams/2 {
			t.Errorf("%d different ends and %d reconnection times of %d", len(ends), len(retries), streams)
		}
	})
}

// The maximum age is a reason of its own, and the program's reconnection time is the
// least. What comes first ends the stream.
func TestMaxAgeReason(t *testing.T) {
	for _, tt := range []struct {
		expires time.Duration
		want    error
	}{{44 * time.Minute, sse.ErrExpired}, {61 * time.Minute, sse.ErrMaxAge}} {
		overEach(t, func(t *testing.T, tr transport) {
			handler, sources := connected(&sse.AcceptOptions{
				Expires: time.Now().Add(tt.expires),
				MaxAge:  time.Hour,
				Retry:   20 * time.Second,
			})
			st := tr.serve(t, handler).open()
			if err := (<-sources).Wait(); !errors.Is(err, tt.want) {
				t.Errorf("ended with %v, want %v", err, tt.want)
			}
			st.wantEnd()
			st.wantRetry(20*time.Second, 24*time.Second)
		})
	}
}

// A stream that ends before its time leaves no timer behind, which would keep it in
// memory; and one without options has none.
func TestLifetimeIsStopped(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Expires: time.Now().Add(time.Hour), ExpiredEvent: sse.Event{Type: "x"}})
		st := tr.serve(t, handler).open()
		source := <-sources
		source.Close()
		st.wantEnd()
		time.Sleep(2 * time.Hour) // fake
		if err := source.Err(); !errors.Is(err, sse.ErrClosed) {
			t.Errorf("ended with %v, want %v", err, sse.ErrClosed)
		}
	})
}

// An event that cannot be sent is found when the stream is accepted.
func TestInvalidOptionEvents(t *testing.T) {
	bad := sse.Event{Type: "a\nb"}
	for _, o := range []*sse.AcceptOptions{{ExpiredEvent: bad}, {Limits: []*sse.Limit{{Event: bad}}}} {
		overEach(t, func(t *testing.T, tr transport) {
			site := tr.serve(t, mount("Serve", o))
			response, err := site.client.Get("http://memory/")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != 500 {
				t.Errorf("status %d, want 500", response.StatusCode)
			}
		})
	}
}
