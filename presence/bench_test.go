package presence_test

import (
	"fmt"
	"runtime"
	"testing"

	"example.org/sse"
	"example.org/sse/presence"
)

// The cost of a session: making its token, reading it back, connecting and leaving.

func BenchmarkToken(b *testing.B) {
	var tr presence.Tracker
	for b.Loop() {
		tr.Token("user")
	}
}

func BenchmarkSession(b *testing.B) {
	var tr presence.Tracker
	token, _ := tr.Token("user")
	r := request(token)
	for b.Loop() {
		if _, err := tr.Session(r); err != nil {
			b.Fatal(err)
		}
	}
}

// A stream from start to end: alone, and as the stream of a session among
// 10,000 others.
func BenchmarkConnect(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(map[bool]string{false: "stream", true: "session"}[with], func(b *testing.B) {
			tr := presence.Tracker{Grace: -1}
			crowd(b, &tr, 10_000)
			ended := make(chan struct{}, 100)
			tr.OnLeave(func(presence.Session) { ended <- struct{}{} })
			for n := 0; b.Loop(); n++ {
				source := connect(b)
				if with {
					tr.Connect(source, presence.Session{User: "ann", Page: fmt.Sprint("a page ", n)}, "lobby", "room 1")
				} else {
					source.AfterFunc(func() { ended <- struct{}{} })
				}
				source.Close()
				if n >= cap(ended) {
					<-ended
				}
			}
		})
	}
}

// Memory of a session with a place of ten users, over its stream's.
func BenchmarkMemory(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		tr := presence.Tracker{}
		sources := make([]*sse.EventSource, n)
		for i := range sources {
			sources[i] = connect(b)
		}
		before := heap()
		for i, source := range sources {
			tr.Connect(source, presence.Session{User: fmt.Sprintf("user %6d", i), Page: fmt.Sprintf("page %11d", i)}, fmt.Sprint("room ", i/10))
		}
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		runtime.KeepAlive(&tr)
	}
}

// crowd connects sessions, and leaves them so.
func crowd(b *testing.B, tr *presence.Tracker, n int) {
	for i := range n {
		s := presence.Session{User: fmt.Sprint("user ", i/2), Page: fmt.Sprint("page ", i)}
		if err := tr.Connect(connect(b), s, "lobby", fmt.Sprint("room ", i/10)); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one has finalized, too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
