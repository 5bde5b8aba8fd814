package sse_test

import (
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// A few clients that read, but slowly, are no reason for a dispatch to wait, even
// on a machine that has enough to do with the others.
func TestSlowReadersHoldNobody(t *testing.T) {
	skipShort(t)
	if slowdown > 1 {
		t.Skip("times say little with the race detector")
	}
	for _, tr := range []transport{transports[0], detachedTransport} {
		t.Run(tr.name, func(t *testing.T) {
			lateness := watchLateness()
			took := slowReaders(t, tr)
			late := lateness()
			slices.Sort(took)
			t.Logf("of 100 dispatches the 95th took %v, the longest %v; a goroutine that sleeps was late by %v", took[94], took[99], late)
			// What any goroutine of a busy machine has to wait is not the clients' doing.
			if took[94] > 5*time.Millisecond+late {
				t.Errorf("of 100 dispatches the 95th took %v", took[94])
			}
		})
	}
}

// slowReaders does what TestSlowReadersHoldNobody is about, and returns how long each
// of 100 dispatches took.
func slowReaders(t *testing.T, tr transport) (took []time.Duration) {
	const members, slow, size = 400, 8, 16 << 10
	group := &sse.Set{History: -1, AcceptOptions: &sse.AcceptOptions{Backlog: 8 << 20}}
	address := dialAddr(t, tr.listen(t, group, smallBuffers))
	var reading sync.WaitGroup
	for i := range members {
		conn, response := rawStream(t, address)
		reading.Go(func() {
			buf := make([]byte, size)
			for {
				if _, err := io.ReadFull(response.Body, buf); err != nil {
					return
				}
				if i < slow {
					time.Sleep(50 * time.Millisecond) // it is what the test is about
				}
			}
		})
		defer conn.Close()
	}
	eventually(t, 10*time.Second, "all are members", func() bool { return group.Len() == members })
	data := strings.Repeat("x", size)
	for range 100 {
		start := time.Now()
		group.Dispatch("", data)
		took = append(took, time.Since(start))
		time.Sleep(25 * time.Millisecond) // the pace of a program
	}
	return took
}

// A fast client gets about as much beside slow ones as without them, in their room
// and in another one that the same goroutine dispatches to.
func TestFastBesideSlow(t *testing.T) {
	skipShort(t)
	if slowdown > 1 {
		t.Skip("times say little with the race detector")
	}
	for _, tr := range []transport{transports[0], detachedTransport} {
		for _, rooms := range []int{1, 2} {
			t.Run(tr.name+"/"+strconv.Itoa(rooms), func(t *testing.T) {
				// Interleaved and repeated, since others use the machine, too: a fault is
				// there each time.
				var ratio float64
				for range 6 {
					var alone, beside int64
					for range 2 {
						alone += fastBesideSlow(t, tr, rooms, 0)
						beside += fastBesideSlow(t, tr, rooms, 2)
					}
					ratio = float64(beside) / float64(alone)
					t.Logf("beside slow clients the fast one gets %.2f of what it gets alone", ratio)
					if ratio >= 0.5 {
						return
					}
				}
				t.Errorf("beside slow clients the fast one gets %.2f of what it gets alone, want 0.5 at least", ratio)
			})
		}
	}
}

// fastBesideSlow returns how many bytes a fast client gets in some time of
// dispatching as fast as can be to one or two rooms, in the last of which slow
// clients read 3 MB/s.
func fastBesideSlow(t *testing.T, tr transport, rooms, slow int) int64 {
	groups := make([]*sse.Set, rooms)
	mux := http.NewServeMux()
	for i := range groups {
		groups[i] = &sse.Set{History: -1, AcceptOptions: &sse.AcceptOptions{Backlog: 16 << 20}}
		mux.Handle("/"+strconv.Itoa(i), groups[i])
	}
	address := dialAddr(t, tr.listen(t, mux, smallBuffers))
	var received atomic.Int64
	var reading sync.WaitGroup
	var conns []io.Closer
	read := func(room int, pause time.Duration, count *atomic.Int64) {
		conn, response := rawRequest(t, address, "GET /"+strconv.Itoa(room)+" HTTP/1.1\r\nHost: memory\r\n\r\n")
		conns = append(conns, conn)
		reading.Go(func() {
			for buf := make([]byte, 32<<10); ; {
				n, err := response.Body.Read(buf)
				if err != nil {
					return
				}
				count.Add(int64(n))
				time.Sleep(pause) // it is what the test is about
			}
		})
	}
	read(0, 0, &received)
	for range slow {
		read(rooms-1, 10*time.Millisecond, new(atomic.Int64))
	}
	eventually(t, 10*time.Second, "all are members", func() bool { return groups[0].Len() > 0 && groups[rooms-1].Len() >= slow })
	data := strings.Repeat("x", 4<<10)
	for start := time.Now(); time.Since(start) < 200*time.Millisecond; {
		for _, group := range groups {
			group.Dispatch("", data)
		}
		runtime.Gosched() // a program does something else, too
	}
	total := received.Load()
	for _, conn := range conns {
		conn.Close()
	}
	reading.Wait()
	return total
}

// A dispatch to a set with one member that does not read takes no time.
func TestDispatchToStalled(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		group := &sse.Set{History: -1, Slow: sse.SkipSlow}
		site := tr.listen(t, group, smallBuffers)
		site.open()
		eventually(t, 10*time.Second, "it is a member", func() bool { return group.Len() == 1 })
		lateness := watchLateness()
		data := strings.Repeat("x", 4<<10)
		var took []time.Duration
		for range 3000 {
			start := time.Now()
			group.Dispatch("", data)
			took = append(took, time.Since(start))
		}
		late := lateness()
		slices.Sort(took)
		t.Logf("median %v, 99th of 100 %v, longest %v; a goroutine that sleeps was late by %v", took[1500], took[2970], took[2999], late)
		if most := time.Millisecond * slowdown; took[1500] > most || took[2970] > most+late {
			t.Errorf("a dispatch takes %v, and one in a hundred %v; want %v at most", took[1500], took[2970], most)
		}
	})
}
