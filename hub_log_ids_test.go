package sse_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// An id that is not of this log, or not any more, or not yet, leads to a snapshot,
// after a while if it might only be early.
func TestSharedForged(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 1, func(int) *sse.Hub {
			return &sse.Hub{Log: log, History: 3, NewSet: func(_ string, s *sse.Set) {
				s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("state", "now") }
			}}
		})
		first := list[0].openURL(at("a"))
		synctest.Wait()
		for i := range 10 {
			list[0].hub.Set("a").Dispatch("", strconv.Itoa(i))
		}
		var ids []string
		for range 11 {
			e, _ := first.next()
			ids = append(ids, e.id)
		}
		last := ids[10]
		number, _, _ := strings.Cut(last, ".")
		for _, tt := range []struct {
			name, id string
			wait     time.Duration
		}{
			{"another nonce", number + ".1", 0},
			{"too old", ids[1], 0},
			{"beyond the end", "zz.1", 10 * time.Second},
			{"far beyond", "3w5e11264sgse.1", 10 * time.Second},
			{"of a log in memory", "abc-12", 0},
			{"nonsense", "nonsense", 0},
			{"long", strings.Repeat("9", 10000), 0},
		} {
			start := time.Now()
			st := list[0].openURL(at("a"), "Last-Event-ID", tt.id)
			if e, err := st.next(); e.data != "now" || e.id != last || err != nil {
				t.Errorf("%s: got %+v, error %v; want the snapshot with the id %s", tt.name, e, err, last)
			}
			if took := time.Since(start); took != tt.wait {
				t.Errorf("%s: it took %v", tt.name, took)
			}
			st.close()
		}
	})
}

// The program's own ids are good for resuming, though one looks like the log's.
func TestSharedOwnID(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 1, func(int) *sse.Hub { return &sse.Hub{Log: log} })
		for _, id := range []string{"own", "1.5", "3"} {
			list[0].hub.Set("a").DispatchEvent(sse.Event{ID: id, Data: id})
		}
		list[0].openURL(at("a"), "Last-Event-ID", "own").want("message|1.5", "message|3")
		list[0].openURL(at("a"), "Last-Event-ID", "1.5").want("message|3")
	})
}
