package sse_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// A client that reads in pieces and pauses of any length gets every byte, in
// order, over a connection that is mostly full.
func TestRandomPauses(t *testing.T) {
	skipShort(t)
	overEachSocket(t, func(t *testing.T, tr transport) {
		const clients, events = 10, 2000
		group := &sse.Set{History: -1, AcceptOptions: &sse.AcceptOptions{Backlog: 64 << 20, WriteTimeout: -1}}
		site := tr.listen(t, group, smallBuffers)
		size := func(i int) int { return i * 7919 % 5000 }
		var reading sync.WaitGroup
		var streams []*stream
		for range clients {
			streams = append(streams, site.open())
		}
		eventually(t, 5*time.Second, "all are members", func() bool { return group.Len() == clients })
		for _, st := range streams {
			body := st.response.Body
			reading.Go(func() {
				pr, pw := io.Pipe()
				go func() {
					buf := make([]byte, 64<<10)
					for {
						n, err := body.Read(buf[:1+rand.IntN(len(buf))])
						if _, e := pw.Write(buf[:n]); err != nil || e != nil {
							pw.CloseWithError(err)
							return
						}
						if rand.IntN(8) == 0 {
							time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond) // it is what the test is about
						}
					}
				}()
				d := newDecoder(pr)
				for i := range events {
					if e, err := d.next(); err != nil || e.data != fmt.Sprintf("%d %s", i, strings.Repeat("x", size(i))) {
						t.Errorf("got %.20q, error %v; want %d", e.data, err, i)
						break
					}
				}
				if e, err := d.next(); err != io.EOF {
					t.Errorf("got %.20q, error %v; want the end", e.data, err)
				}
				pr.Close()
			})
		}
		for i := range events {
			group.Dispatch("", fmt.Sprintf("%d %s", i, strings.Repeat("x", size(i))))
		}
		group.CloseAll()
		reading.Wait()
	})
}

// A large event behind small ones is written from where it is: no copy of it
// stays with the shard that has written it.
func TestLargeEventBehindSmall(t *testing.T) {
	skipShort(t)
	onlyLinux(t)
	const size = 16 << 20
	group := &sse.Set{History: -1, AcceptOptions: &sse.AcceptOptions{Backlog: 4 * size}}
	site := detachedTransport.listen(t, group, smallBuffers)
	st := site.open()
	eventually(t, 5*time.Second, "it is a member", func() bool { return group.Len() == 1 })
	for range 3 {
		runtime.GC() // what other tests have left goes now, pools too
	}
	before := heapInUse()
	for _, n := range []int{size / 2, 1, size, 1} { // the first fills what is on the way
		group.Dispatch("", strings.Repeat("x", n))
	}
	for _, n := range []int{size / 2, 1, size, 1} {
		if e, err := st.next(); len(e.data) != n || err != nil {
			t.Fatalf("got %d bytes, error %v; want %d", len(e.data), err, n)
		}
	}
	*st.decoder = *newDecoder(st.response.Body) // it keeps its lines
	eventually(t, 5*time.Second, "the heap is as it was", func() bool { return heapInUse()-before < size/4 })
}

// FuzzReads lets a client read in any pieces, with any pauses, what two sets and
// its source send: every byte arrives once, in order.
func FuzzReads(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03"))
	f.Add([]byte("\xff\x80\xff\x00\x10\x20"))
	f.Add(bytes.Repeat([]byte("\x03\xf0"), 40))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			t.Skip("it is long enough")
		}
		synctest.Test(t, func(t *testing.T) {
			handler, sources := connected(&sse.AcceptOptions{WriteTimeout: -1, KeepAlive: -1})
			st := detachedTransport.serve(t, handler).open()
			source := <-sources
			var one, two sse.Set
			one.Add(source)
			two.Add(source)
			pr, pw := io.Pipe()
			go func() {
				buf := make([]byte, 1<<16)
				for i := 0; ; i++ {
					b := byte(i)
					if len(script) > 0 {
						b = script[i%len(script)]
					}
					time.Sleep(time.Duration(b>>4) * time.Millisecond) // fake
					n, err := st.response.Body.Read(buf[:50+int(b)*200])
					if _, e := pw.Write(buf[:n]); err != nil || e != nil {
						pw.CloseWithError(err)
						return
					}
				}
			}()
			sent := 0
			go func() {
				for i := range 200 {
					data := strconv.Itoa(i) + strings.Repeat("y", i*131%9000)
					switch i % 4 {
					case 0:
						source.Dispatch("", data)
					case 1:
						two.Dispatch("", data)
					default:
						one.Dispatch("", data)
					}
					sent++
					if len(script) > 0 && script[i%len(script)]&1 == 0 {
						time.Sleep(time.Millisecond) // fake
					}
				}
				source.Close()
			}()
			d := newDecoder(pr)
			for i := range 200 {
				want := strconv.Itoa(i) + strings.Repeat("y", i*131%9000)
				if e, err := d.next(); err != nil || e.data != want {
					t.Fatalf("got %.20q, error %v; want %.20q", e.data, err, want)
				}
			}
			if e, err := d.next(); err != io.EOF {
				t.Fatalf("got %.20q, error %v; want the end", e.data, err)
			}
			pr.Close()
			time.Sleep(time.Second) // fake: everybody gets to the end
		})
	})
}
