package presence_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// 10,000 sessions that connect at three processes, until all three know all: what
// all three do for a session, and the time and memory at each.
func BenchmarkShared(b *testing.B) {
	const n = 10_000
	session := func(i int) presence.Session {
		return presence.Session{User: fmt.Sprintf("user %6d", i), Page: fmt.Sprintf("page %11d", i)}
	}
	for b.Loop() {
		b.StopTimer()
		var store backplane.Memory
		var trackers [3]*presence.Tracker
		for i := range trackers {
			trackers[i] = &presence.Tracker{Key: []byte("one"), Store: &store}
			for !leased(trackers[i]) {
				runtime.Gosched()
			}
		}
		sources := make([]*sse.EventSource, n)
		for i := range sources {
			sources[i] = connect(b)
		}
		before := heap()
		b.StartTimer()
		begin := time.Now()
		for i, source := range sources {
			trackers[i%3].Connect(source, session(i), fmt.Sprint("room ", i/10))
		}
		connected := time.Since(begin)
		for _, tr := range trackers {
			for i := range sources {
				for !tr.Present(session(i)) {
					time.Sleep(100 * time.Microsecond) // looking costs, too
				}
			}
		}
		b.ReportMetric(float64(connected.Nanoseconds())/n, "ns/connect")
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/n, "ns/session")
		b.StopTimer()
		for _, tr := range trackers {
			for leased(tr) && len(tr.Users("room 999")) < 10 {
				runtime.Gosched()
			}
		}
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		for _, tr := range trackers {
			tr.Close()
		}
		for _, source := range sources {
			source.Close() // otherwise the benchmark's context keeps them
		}
		b.StartTimer()
	}
}
