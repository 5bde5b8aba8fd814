package sse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"example.org/sse"
)

// A client of a compressed stream that does not read holds nobody up, and the set's policy
// is that of streams which are not compressed. When it reads again it gets whole events.
func TestCompressedStalled(t *testing.T) {
	const events = 100
	random := rand.New(rand.NewPCG(1, 2))
	texts := make([]string, events)
	for i := range texts { // hardly smaller when they are compressed
		for len(texts[i]) < 4000 {
			texts[i] += fmt.Sprintf("%x", random.Uint64())
		}
	}
	for _, policy := range []sse.SlowPolicy{sse.CloseSlow, sse.SkipSlow, sse.LatestPerKey} {
		t.Run(policy.String(), func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				o := &sse.AcceptOptions{Compress: gzipped.Compress, Backlog: 20_000, WriteTimeout: time.Hour}
				handler, sources := connected(o)
				site := tr.serve(t, handler)
				group := sse.Set{Slow: policy}
				stalled := site.open()
				slow := <-sources
				group.Add(slow)
				reading := site.open()
				group.Add(<-sources)
				start := time.Now()
				for i, text := range texts {
					group.Dispatch("", text)
					if e, err := reading.next(); err != nil || e.data != text {
						t.Fatalf("event %d: got %.20q, error %v", i, e.data, err)
					}
				}
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("the other client had to wait %v", d)
				}
				if policy == sse.CloseSlow {
					if err := slow.Wait(); !errors.Is(err, sse.ErrSlow) || group.Len() != 1 {
						t.Errorf("ended with %v, %d members; want ErrSlow, 1", err, group.Len())
					}
					return
				}
				n := 0
				for e := (message{}); e.data != texts[events-1]; n++ {
					var err error
					at := n
					if e, err = stalled.next(); err != nil {
						t.Fatal(err)
					}
					for ; at < events && texts[at] != e.data; at++ {
					}
					if at == events {
						t.Fatalf("event %d: got %.20q, want a whole and later event", n, e.data)
					}
				}
				if n >= events*2/3 {
					t.Errorf("got %d of %d events, want fewer", n, events)
				}
			})
		})
	}
}
