package sse_test

import (
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/internal/poll"
)

// What a dispatch and a delivery may allocate: the block and the place of the
// next event, and nothing for each member.
func TestAllocations(t *testing.T) {
	if slowdown > 1 {
		t.Skip("the race detector allocates, too")
	}
	const members = 1000
	data := strings.Repeat("x", 100)
	var empty, full sse.Set
	if n := testing.AllocsPerRun(1000, func() { empty.Dispatch("", data) }); n > 2 {
		t.Errorf("%v allocations a dispatch", n)
	}
	flushes := sinks(t, &full, members)
	attached := testing.AllocsPerRun(100, func() {
		want := flushes.Load() + members
		full.Dispatch("", data)
		waitFor(func() bool { return flushes.Load() >= want })
	})
	t.Logf("%v allocations for a dispatch to %d attached members", attached, members)
	if attached > 2+members/100 {
		t.Errorf("%v allocations for a dispatch to %d attached members, want %d at most", attached, members, 2+members/100)
	}
}

// A detachedSet is a set with detached members, and the other ends of their
// connections, which cost this process next to nothing.
func detachedSet(t *testing.T, members int, o *sse.AcceptOptions) (*sse.Set, []poll.Socket) {
	t.Helper()
	onlyLinux(t)
	group, before := &sse.Set{History: -1, AcceptOptions: o}, sse.ReadStats().Detached
	address := dialAddr(t, detachedTransport.listen(t, group))
	clients := make([]poll.Socket, 0, members)
	for range members {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
		if _, err := conn.Read(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
		client, _, err := poll.Detach(conn, 0)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	t.Cleanup(func() {
		for _, c := range clients {
			c.Close(true)
		}
		eventually(t, 10*time.Second, "all have left", func() bool { return group.Len() == 0 })
	})
	eventually(t, 10*time.Second, "all are detached", func() bool {
		return group.Len() == members && sse.ReadStats().Detached-before == members
	})
	return group, clients
}

func TestDetachedAllocations(t *testing.T) {
	if slowdown > 1 {
		t.Skip("the race detector allocates, too")
	}
	const members = 1000
	for _, tt := range []struct {
		name string
		o    *sse.AcceptOptions
		most float64 // beside what does not depend on the members
	}{
		{"plain", nil, 2},
		{"gzip", gzipped, 6}, // the pieces, and the shared one
	} {
		t.Run(tt.name, func(t *testing.T) {
			quietStats(t)
			group, clients := detachedSet(t, members, tt.o)
			data := strings.Repeat("x", 100)
			n := testing.AllocsPerRun(100, func() {
				group.Dispatch("", data)
				for _, c := range clients {
					for n := 0; n == 0; { // an event is one write
						var err error
						if n, err = c.Discard(1 << 20); err != nil {
							t.Fatal(err)
						}
					}
				}
			})
			t.Logf("%v allocations for a dispatch to %d detached members", n, members)
			if n > tt.most+members/100 {
				t.Errorf("%v allocations for a dispatch to %d detached members, want %v at most", n, members, tt.most+members/100)
			}
		})
	}
}

// What a detached stream may cost: memory for its source, and nothing else that
// grows with their number.
func TestDetachedMemory(t *testing.T) { detachedMemory(t, nil, 640) }

// A lifetime costs a timer, and a limit a place in a list.
func TestLifetimeMemory(t *testing.T) {
	detachedMemory(t, &sse.AcceptOptions{MaxAge: time.Hour, Expires: time.Now().Add(time.Hour)}, 640+256)
}

// Compression costs what is known of the client's decoder.
func TestCompressedMemory(t *testing.T) { detachedMemory(t, gzipped, 640+80) }

func TestLimitMemory(t *testing.T) {
	detachedMemory(t, &sse.AcceptOptions{Limits: []*sse.Limit{{Max: 10_000}}}, 640+256)
}

func detachedMemory(t *testing.T, o *sse.AcceptOptions, heapBytes int64) {
	t.Helper()
	if slowdown > 1 {
		t.Skip("the race detector needs memory, too")
	}
	const members, stackBytes = 4000, 100
	read := func() (heap, stacks int64) {
		for range 3 {
			runtime.GC() // what others have left goes now, pools too
		}
		samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
		metrics.Read(samples)
		return int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
	}
	quietStats(t)
	detachedSet(t, 10, o) // sizes what is there once
	goroutines := runtime.NumGoroutine()
	heap, stacks := read()
	group, clients := detachedSet(t, members, o)
	heap2, stacks2 := read()
	perStream, perStack := (heap2-heap)/members, (stacks2-stacks)/members
	t.Logf("%d bytes of heap and %d of stack for each of %d streams", perStream, perStack, members)
	if perStream > heapBytes || perStack > stackBytes {
		t.Errorf("more than %d and %d", heapBytes, stackBytes)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 10 {
		t.Errorf("%d goroutines more", n)
	}
	runtime.KeepAlive(group)
	runtime.KeepAlive(clients)
}
