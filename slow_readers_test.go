package sse_test

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// A few clients that read, but slowly, are no reason for a dispatch to wait, even
// on a machine that has enough to do with the others.
func TestSlowReadersHoldNobody(t *testing.T) {
	if slowdown > 1 {
		t.Skip("times say little with the race detector")
	}
	for _, tr := range []transport{transports[0], detachedTransport} {
		t.Run(tr.name, func(t *testing.T) {
			for attempt := 1; ; attempt++ { // others may use the machine, too
				late := slowReaders(t, tr)
				t.Logf("%d of 100 dispatches waited", late)
				if late <= 2 {
					break
				}
				if attempt == 3 {
					t.Errorf("%d of 100 dispatches waited", late)
					break
				}
			}
		})
	}
}

// slowReaders does what TestSlowReadersHoldNobody is about, and returns how many
// of 100 dispatches took more than 5 ms.
func slowReaders(t *testing.T, tr transport) (late int) {
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
		if time.Since(start) > 5*time.Millisecond {
			late++
		}
		time.Sleep(25 * time.Millisecond) // the pace of a program
	}
	return late
}
