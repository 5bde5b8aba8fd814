package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse"
)

// heapInUse returns the bytes of living objects.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// descriptors returns how many the process has open, 0 if it cannot be told.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// 10,000 connects and disconnects, and 10,000 that leave before the first byte:
// all is as it was.
func TestNothingLeaks(t *testing.T) {
	skipShort(t)
	for _, tr := range []transport{transports[0], detachedTransport} {
		t.Run(tr.name, func(t *testing.T) { nothingLeaks(t, tr) })
	}
}

func nothingLeaks(t *testing.T, tr transport) {
	group := new(sse.Set)
	address := dialAddr(t, tr.listen(t, group))
	const rounds = 100
	visit := func(read bool) {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				conn.(*net.TCPConn).SetLinger(0) // no port is to wait for its last packets
				defer conn.Close()
				fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
				if read {
					conn.Read(make([]byte, 1))
				}
			})
		}
		group.Dispatch("", "meanwhile")
		wg.Wait()
	}
	settle := func() {
		eventually(t, 20*time.Second, "all have left", func() bool { return group.Len() == 0 })
		group.Dispatch("", "last")
	}
	for range 5 { // pools and maps get their size
		visit(true)
		visit(false)
	}
	settle()
	var goroutines, files int
	var heap int64
	eventually(t, 20*time.Second, "the first have ended", func() bool {
		goroutines, files, heap = runtime.NumGoroutine(), descriptors(), heapInUse()
		return goroutines < 20
	})
	for range rounds {
		visit(true)
		visit(false)
	}
	settle()
	eventually(t, 20*time.Second, "all is as it was", func() bool {
		g, f, h := runtime.NumGoroutine(), descriptors(), heapInUse()
		ok := g <= goroutines && f <= files && h-heap < 1<<20
		if !ok {
			t.Logf("goroutines %d → %d, descriptors %d → %d, heap %d → %d KiB", goroutines, g, files, f, heap>>10, h>>10)
		}
		return ok
	})
}

// A client that closes an idle stream is gone from all sets within a second,
// without a dispatch.
func TestIdleClientLeaves(t *testing.T) {
	overEachSocket(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.listen(t, handler)
		var one, two sse.Set
		var users sse.Map[int]
		st := site.open()
		source := <-sources
		if !one.Add(source) || !two.Add(source) || !users.Store(source, 1) {
			t.Fatal("not added")
		}
		st.close()
		eventually(t, time.Second, "it is gone", func() bool { return one.Len()+two.Len()+users.Len() == 0 })
		if err := source.Wait(); !errors.Is(err, sse.ErrGone) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A stray byte after the request ends net/http's look-out for the client's end:
// then it takes two keep-alives to notice.
func TestIdleClientLeavesAfterStrayByte(t *testing.T) {
	const keepAlive = 500 * time.Millisecond
	group := &sse.Set{AcceptOptions: &sse.AcceptOptions{KeepAlive: keepAlive}}
	conn, _ := rawStream(t, dialAddr(t, transports[0].listen(t, group)))
	eventually(t, time.Second, "it is a member", func() bool { return group.Len() == 1 })
	conn.Write([]byte{'x'})
	time.Sleep(keepAlive / 2) // net/http is to read the byte first
	conn.Close()
	eventually(t, 2*keepAlive+keepAlive/2, "it is gone", func() bool { return group.Len() == 0 })
}

// History that is too old is garbage, without another dispatch.
func TestHistoryExpires(t *testing.T) {
	const age, size = time.Second, 10 << 20
	group := sse.Set{HistoryAge: age, HistoryBytes: -1}
	for range 3 {
		runtime.GC() // what other tests have left goes now, pools too
	}
	before := heapInUse()
	group.Dispatch("", strings.Repeat("x", size))
	time.Sleep(age / 3) // the second is to expire later
	group.Dispatch("", strings.Repeat("y", size))
	if grown := heapInUse() - before; grown < size*3/2 {
		t.Errorf("%d bytes kept", grown)
	}
	eventually(t, 10*age, "it is garbage", func() bool { return heapInUse()-before < size/10 })
	group.Clear() // it is the history that is gone, not the set
}

// Of a server that the program has forgotten nothing is left.
func TestServersLeaveNothing(t *testing.T) {
	skipShort(t)
	serve := func() {
		ctx := context.WithValue(t.Context(), http.ServerContextKey, new(http.Server))
		source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		source.Close()
	}
	for range 100 {
		serve()
	}
	before := heapInUse()
	for range 20_000 {
		serve()
	}
	eventually(t, 10*time.Second, "the heap is as it was", func() bool { return heapInUse()-before < 1<<20 })
}
