package e2e

import (
	"fmt"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// Every process knows every session. The log has what that costs: the processor time of
// all processes together, without Redis's but with NATS's, which runs in this process.
func TestCostOfSessions(t *testing.T) {
	skipShort(t)
	if !*full {
		t.Skip("measures: runs with -full")
	}
	onBrokers(t, func(t *testing.T, open func() (backplane.Log, backplane.Store)) {
		const n = 2000
		var trackers []*presence.Tracker
		for round, processes := range []int{2, 4, 8} {
			for len(trackers) < processes {
				_, store := open()
				tracker := &presence.Tracker{Key: []byte("one"), Store: store, Lease: time.Minute}
				t.Cleanup(func() { tracker.Close() })
				eventually(t, patience, func() string {
					if !leased(tracker) {
						return "no lease"
					}
					return ""
				})
				trackers = append(trackers, tracker)
			}
			before := processorTime(t)
			room := fmt.Sprint("room ", round)
			for i := range n {
				source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := trackers[i%processes].Connect(source, presence.Session{User: "user", Page: fmt.Sprint(room, " ", i)}, room); err != nil {
					t.Fatal(err)
				}
			}
			for i, tracker := range trackers {
				eventually(t, patience, func() string {
					if got := len(tracker.Members(room)); got != n {
						return fmt.Sprintf("process %d knows %d sessions, want %d", i, got, n)
					}
					return ""
				})
			}
			t.Logf("%d processes: %v for each session", processes, (processorTime(t)-before)/n)
		}
	})
}

// processorTime returns what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
