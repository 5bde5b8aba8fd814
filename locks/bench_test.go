package locks_test

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"runtime"
	"testing"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// present returns a tracker with n sessions present.
func present(tb testing.TB, n int) (*presence.Tracker, []presence.Session) {
	return presentOn(tb, nil, n)
}

// presentOn is like present, for a tracker with a store, unless that is nil.
func presentOn(tb testing.TB, store backplane.Store, n int) (*presence.Tracker, []presence.Session) {
	tracker := &presence.Tracker{Key: []byte("key"), Store: store}
	tb.Cleanup(func() { tracker.Close() })
	sessions := make([]presence.Session, n)
	for i := range sessions {
		sessions[i] = presence.Session{User: fmt.Sprint("user", i), Page: rand.Text()}
		source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), nil)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { source.Close() })
		if err := tracker.Connect(source, sessions[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return tracker, sessions
}

// BenchmarkTakeRelease has 10,000 sessions, each of which takes a lock of its own and
// then releases it; no change is reported.
func BenchmarkTakeRelease(b *testing.B) {
	const n = 10_000
	tracker, sessions := present(b, n)
	table := locks.Table[int]{Presence: tracker}
	defer table.Close()
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := i % n
		var err error
		if i/n%2 == 0 {
			_, err = table.Take(ctx, sessions[key], key)
		} else {
			_, err = table.Release(ctx, sessions[key], key)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLockMemory reports the memory that a held lock needs.
func BenchmarkLockMemory(b *testing.B) {
	const n = 10_000
	tracker, sessions := present(b, n)
	for b.Loop() {
		before := heap()
		table := locks.Table[int]{Presence: tracker}
		for i, s := range sessions {
			if _, err := table.Take(b.Context(), s, i); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/n, "B/lock")
		table.Close()
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestBudget limits the allocations of a take and a release.
func TestBudget(t *testing.T) {
	tracker, sessions := present(t, 1)
	table := locks.Table[int]{Presence: tracker}
	defer table.Close()
	n := testing.AllocsPerRun(100, func() {
		table.Take(t.Context(), sessions[0], 7)
		table.Release(t.Context(), sessions[0], 7)
	})
	if n > 20 {
		t.Errorf("%v allocations for taking and releasing a lock, want at most 20", n)
	}
	t.Logf("%v allocations", n)
}
