package sse_test

import (
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// Clients that do not read cost what their connections buffer, and the backlog once for
// all, compressed as plain: what waits for them is shared.
func TestCompressedStalledMemory(t *testing.T) {
	if slowdown > 1 {
		t.Skip("the race detector needs memory, too")
	}
	const clients, backlog, events = 50, 200_000, 1000
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			grown := func(codings []sse.Coding) (bytes int64) {
				synctest.Test(t, func(t *testing.T) {
					handler, sources := connected(&sse.AcceptOptions{Compress: codings, Backlog: backlog, WriteTimeout: time.Hour})
					site := tr.serve(t, handler)
					group := sse.Set{Slow: sse.SkipSlow}
					for range clients {
						site.open()
						group.Add(<-sources)
					}
					synctest.Wait()
					before := heapInUse()
					random, event := rand.NewChaCha8([32]byte{}), make([]byte, 2000)
					for range events {
						random.Read(event)
						group.Dispatch("", hex.EncodeToString(event))
						synctest.Wait()
					}
					bytes = heapInUse() - before
					if got := group.Len(); got != clients || group.Skipped() == 0 {
						t.Errorf("%d clients, %d events skipped; want %d, some", got, group.Skipped(), clients)
					}
				})
				return bytes
			}
			plain, compressed := grown(nil), grown(gzipped.Compress)
			t.Logf("%d KiB for %d clients, compressed %d", plain>>10, clients, compressed>>10)
			if most := int64(clients * (backlog + socketBuffer)); plain > most || compressed > plain+most/4 {
				t.Errorf("%d bytes for %d clients, compressed %d; want %d at most, and a quarter of that more", plain, clients, compressed, most)
			}
		})
	}
}

// Compressors go with the last members of their sets.
func TestCompressedLeavesNothing(t *testing.T) {
	if slowdown > 1 {
		t.Skip("the race detector needs memory, too")
	}
	const sets = 40
	synctest.Test(t, func(t *testing.T) {
		handler, sources := connected(gzipped)
		site := transports[0].serve(t, handler)
		groups := make([]sse.Set, sets)
		heap := func() int64 {
			synctest.Wait()
			runtime.GC() // a pool's objects go with the second collection
			return heapInUse()
		}
		before := heap()
		var members []*sse.EventSource
		for i := range groups {
			site.open()
			source := <-sources
			groups[i].Add(source)
			groups[i].Dispatch("", strings.Repeat("x", 1000))
			members = append(members, source)
		}
		during := heap() - before
		for _, source := range members {
			source.Close()
		}
		after := heap() - before
		t.Logf("%d KiB for %d sets, %d when their members have left", during>>10, sets, after>>10)
		if compressors := int64(sets * 600 << 10); during < compressors || after > compressors/5 {
			t.Errorf("%d bytes for %d sets, %d when their members have left; want %d at least, and then a fifth at most", during, sets, after, compressors)
		}
		runtime.KeepAlive(groups)
	})
}
