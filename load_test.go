package sse_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// rawStream opens a stream over a connection of its own and returns what comes.
// It costs a test far less than an http.Client.
func rawStream(t *testing.T, address string) (net.Conn, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 32<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 2)); err != nil { // the first comment
		t.Fatal(err)
	}
	return conn, response
}

// With the race detector there is less work in these tests; ci/test.sh runs them
// without as well.

// 1,000 members, 10 of which never read: the other 990 get all events, in order,
// no dispatch takes long, and the ten meet what the policy has for them.
func TestThousandMembers(t *testing.T) {
	skipShort(t)
	for _, tt := range []struct {
		name   string
		policy sse.SlowPolicy
		events int
	}{
		{"CloseSlow", sse.CloseSlow, 5000},
		{"SkipSlow", sse.SkipSlow, 5000},
		{"LatestPerKey", sse.LatestPerKey, 5000},
	} {
		for _, tr := range []transport{transports[0], detachedTransport} {
			t.Run(tt.name+"/"+tr.name, func(t *testing.T) {
				lateness := watchLateness()
				longest := thousandMembers(t, tr, tt.policy, tt.events/slowdown)
				// What any goroutine of a busy machine has to wait is not the set's doing.
				if late := lateness(); longest > 50*time.Millisecond+4*late {
					t.Errorf("a dispatch took %v, where a goroutine that only sleeps is late by up to %v", longest, late)
				}
			})
		}
	}
}

// watchLateness measures by how much a goroutine that sleeps is late, at most, until
// it is stopped.
func watchLateness() (stop func() time.Duration) {
	done, result := make(chan bool), make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			start := time.Now()
			select {
			case <-time.After(time.Millisecond):
				most = max(most, time.Since(start)-time.Millisecond)
			case <-done:
				result <- most
				return
			}
		}
	}()
	return func() time.Duration {
		close(done)
		return <-result
	}
}

// thousandMembers does what TestThousandMembers is about, and returns the time
// of the longest dispatch.
func thousandMembers(t *testing.T, tr transport, policy sse.SlowPolicy, events int) (longest time.Duration) {
	const members, stalled, size = 1000, 10, 1 << 10
	group := &sse.Set{History: -1, Slow: policy, AcceptOptions: &sse.AcceptOptions{WriteTimeout: time.Minute}}
	address := dialAddr(t, tr.listen(t, group, smallBuffers))
	var sources []*sse.EventSource
	for range stalled {
		conn, _ := rawStream(t, address)
		conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	eventually(t, 10*time.Second, "the stalled are members", func() bool { return group.Len() == stalled })
	for s := range group.All() {
		sources = append(sources, s)
	}
	// An event is "data: 0000123....\n\n", of one size: easy to check.
	pad := strings.Repeat(".", size-len("data: 0000000\n\n"))
	tail := []byte(pad + "\n\n")
	var wg sync.WaitGroup
	var received atomic.Int64
	for range members - stalled {
		_, response := rawStream(t, address)
		wg.Go(func() {
			r := bufio.NewReaderSize(response.Body, 8*size)
			for last := -1; last < events-1; {
				b, err := r.Peek(size)
				if err != nil {
					t.Errorf("%v after event %d", err, last)
					return
				}
				n, err := strconv.Atoi(string(b[6:13]))
				next := n == last+1 || policy == sse.LatestPerKey && n > last
				if err != nil || !next || !bytes.Equal(b[13:], tail) {
					t.Errorf("got %.20q after event %d", b, last)
					return
				}
				last = n
				received.Add(1)
				r.Discard(size)
			}
		})
	}
	eventually(t, 30*time.Second, "all are members", func() bool { return group.Len() == members })

	before := heapInUse()
	begin := time.Now()
	for i := range events {
		start := time.Now()
		group.Dispatch("", fmt.Sprintf("%07d%s", i, pad))
		longest = max(longest, time.Since(start))
	}
	wg.Wait()
	runtime.GC() // twice empties the pools
	after := heapInUse()
	t.Logf("%d events to %d members in %v; longest dispatch %v; heap +%d KiB", events, members, time.Since(begin), longest, (after-before)>>10)
	if policy != sse.LatestPerKey && received.Load() != int64(events)*(members-stalled) {
		t.Errorf("%d events received", received.Load())
	}
	if after-before > stalled<<20 { // a backlog each

		t.Errorf("the heap grew by %d MiB", (after-before)>>20)
	}
	for _, s := range sources {
		switch {
		case policy == sse.CloseSlow && slowdown == 1:
			if err := s.Wait(); !errors.Is(err, sse.ErrSlow) {
				t.Errorf("ended with %v", err)
			}
		case slowdown == 1 && s.ReadyState() != sse.Open:
			t.Errorf("ended with %v", s.Err())
		}
	}
	if policy == sse.SkipSlow && slowdown == 1 {
		// Until a client has taken nothing for 2 s it may be one that reads.
		eventually(t, 10*time.Second, "the stalled skip events", func() bool {
			group.Dispatch("", "")
			return group.Skipped() > 0
		})
	}
	return longest
}

// A 10 MiB event arrives whole, and is not copied for each of 100 readers.
func TestLargeEvent(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		const size, readers = 10 << 20, 100
		buffers := 128 << 10 // of a reader
		if tr.http2 {
			buffers *= 4 // the client keeps up to 4 MiB that a reader has not taken yet
		}
		group := &sse.Set{History: -1, AcceptOptions: &sse.AcceptOptions{WriteTimeout: time.Minute}} // whatever else the machine does
		site := tr.listen(t, group)
		var wg sync.WaitGroup
		start := make(chan bool)
		for range readers {
			st := site.open()
			wg.Go(func() {
				<-start
				buf := make([]byte, 64<<10)
				total := 0
				for total < size+len(":\ndata: \n\n") {
					n, err := st.response.Body.Read(buf)
					if total += n; err != nil {
						t.Errorf("%v after %d bytes", err, total)
						return
					}
				}
			})
		}
		eventually(t, 10*time.Second, "all are members", func() bool { return group.Len() == readers })
		data := strings.Repeat("x", size)
		before := heapInUse()
		var peak atomic.Int64
		stop := make(chan bool)
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					peak.Store(max(peak.Load(), heapInUse()))
				}
			}
		})
		begin := time.Now()
		close(start)
		group.Dispatch("", data)
		dispatched := time.Since(begin)
		wg.Wait()
		took := time.Since(begin)
		close(stop)
		watch.Wait()
		runtime.KeepAlive(data)
		grown := peak.Load() - before + size // and the caller's own
		t.Logf("%d readers have it after %v, dispatched in %v; %d MiB in memory", readers, took, dispatched, grown>>20)
		if most := 3*size + readers*buffers; int(grown) > most {
			t.Errorf("%d MiB in memory, want %d at most", grown>>20, most>>20)
		}
	})
}

// 1,000 streams, some stalled, some in the middle of a 10 MiB event: Shutdown
// returns in time, and who reads gets everything and a clean end.
func TestShutdownUnderLoad(t *testing.T) {
	skipShort(t)
	for _, tr := range []transport{transports[0], detachedTransport} {
		t.Run(tr.name, func(t *testing.T) {
			// Streams have five seconds. A machine that is too busy to write all of
			// this in that time is asked for less.
			for load := 1; ; load *= 4 {
				errs := shutdownUnderLoad(t, tr, load)
				if len(errs) == 0 {
					return
				}
				if load >= 64 {
					t.Fatalf("1/%d of the load: %v", load, errors.Join(errs...))
				}
				t.Logf("1/%d of the load: %d errors", load, len(errs))
			}
		})
	}
}

func shutdownUnderLoad(t *testing.T, tr transport, load int) (errs []error) {
	const large, stalled = 20, 10
	streams := large + stalled + 1000/load
	var mu sync.Mutex
	failed := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, fmt.Errorf(format, args...))
	}
	var group, some sse.Set
	site := tr.listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			group.Add(source)
			if group.Len() <= large+stalled {
				some.Add(source)
			}
		})
	}))
	address := dialAddr(t, site)
	var bodies []io.Reader
	for i := range streams {
		_, response := rawStream(t, address)
		bodies = append(bodies, response.Body)
		eventually(t, 5*time.Second, "it is a member", func() bool { return group.Len() == i+1 })
	}
	big := strings.Repeat("x", 10<<20/slowdown/load)
	some.Dispatch("", big)
	for i := range 100 {
		group.Dispatch("", strconv.Itoa(i))
	}
	done := make(chan error)
	begin := time.Now()
	go func() { done <- site.shutdown() }()
	var wg sync.WaitGroup
	for i, body := range bodies {
		if i < stalled {
			continue
		}
		wg.Go(func() {
			got, err := io.ReadAll(body)
			if err != nil {
				failed("stream %d: %v after %d bytes", i, err, len(got))
				return
			}
			d := newDecoder(bytes.NewReader(got))
			if i < large+stalled {
				if e, err := d.next(); err != nil || e.data != big {
					failed("stream %d: got %d bytes, error %v", i, len(e.data), err)
				}
			}
			for n := range 100 {
				if e, err := d.next(); err != nil || e.data != strconv.Itoa(n) {
					failed("stream %d: got %.20q, error %v; want %d", i, e.data, err, n)
					return
				}
			}
			if _, err := d.next(); err != io.EOF || d.retry == "" {
				failed("stream %d: error %v, retry %q", i, err, d.retry)
			}
		})
	}
	wg.Wait()
	t.Logf("who reads has everything after %v", time.Since(begin))
	if err := <-done; err != nil || time.Since(begin) > 10*time.Second {
		failed("Shutdown: %v after %v", err, time.Since(begin))
	}
	t.Logf("Shutdown returned after %v", time.Since(begin))
	return errs
}
