package redislog_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/redislog"
)

// BenchmarkAppend appends 100 bytes.
func BenchmarkAppend(b *testing.B) {
	s := startRedis(b)
	run := time.Now().UnixNano()
	var ids atomic.Int64
	data := make([]byte, 100)
	for _, bench := range benches {
		l := s.log("log", nil)
		b.Run(bench.name, func(b *testing.B) {
			bench.run(b, func() func() {
				return func() {
					id := strconv.FormatInt(run+ids.Add(1), 36)
					if _, err := l.Append(b.Context(), id, data); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkSwap swaps 100 bytes with a time to live: each caller renews its own record.
func BenchmarkSwap(b *testing.B) {
	s := startRedis(b)
	var keys atomic.Int64
	value := make([]byte, 100)
	for _, bench := range benches {
		st := s.store("store")
		b.Run(bench.name, func(b *testing.B) {
			bench.run(b, func() func() {
				record := backplane.Record{Key: strconv.FormatInt(keys.Add(1), 10)}
				return func() {
					var err error
					if record, err = st.Swap(b.Context(), record.Key, record.Rev, value, time.Minute); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// benches are the ways to run a benchmark: each caller makes a function and calls it.
var benches = []struct {
	name string
	run  func(*testing.B, func() func())
}{
	{"1 caller", oneByOne},
	{"256 callers", atOnce},
}

// oneByOne also reports how long a call takes.
func oneByOne(b *testing.B, caller func() func()) {
	call := caller()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		call()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func atOnce(b *testing.B, caller func() func()) {
	b.SetParallelism(max(1, 256/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		call := caller()
		for pb.Next() {
			call()
		}
	})
}

// The time from the call of Append until a follower has the entry.
func BenchmarkFollow(b *testing.B) {
	s := startRedis(b)
	l, other := s.log("log", nil), s.log("log", nil)
	ctx, cancel := context.WithCancel(b.Context())
	got := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		other.Follow(ctx, backplane.Newest, func([]backplane.Entry, bool) error {
			got <- struct{}{}
			return nil
		})
	}()
	<-got // it is live
	data := make([]byte, 100)
	n := time.Now().UnixNano()
	oneByOne(b, func() func() {
		return func() {
			n++
			if _, err := l.Append(b.Context(), strconv.FormatInt(n, 36), data); err != nil {
				b.Error(err)
			}
			<-got
		}
	})
	cancel()
	<-ended
}

// The memory that the server needs for an entry's id, in addition to the entry.
func BenchmarkIDs(b *testing.B) {
	s := startRedis(b)
	l := s.log("log", &redislog.Options{History: 1})
	used := func() int {
		info, err := s.client().InfoMap(b.Context(), "memory").Result()
		n, _ := strconv.Atoi(info["Memory"]["used_memory"])
		if err != nil || n == 0 {
			b.Fatalf("%v, %v", info, err)
		}
		return n
	}
	before := used()
	var n atomic.Int64
	atOnce(b, func() func() {
		return func() {
			if _, err := l.Append(b.Context(), strconv.FormatInt(n.Add(1), 36), nil); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(used()-before)/float64(n.Load()), "server-B/id")
}
