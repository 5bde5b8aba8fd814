package sse_test

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// What compressed streams are sent, and what they are not, agrees with what is dispatched
// and with what arrives.
func TestStatsOfCompression(t *testing.T) {
	eachAlone(t, func(t *testing.T, tr transport) {
		const members, events, direct = 5, 200, 7
		before := sse.ReadStats()
		var group sse.Set
		handler, sources := connected(gzipped)
		site := tr.serve(t, handler)
		var arrived atomic.Int64
		var reading sync.WaitGroup
		for range members {
			st := rawGzip(t, site)
			reading.Go(func() {
				n, err := io.Copy(io.Discard, st)
				if arrived.Add(n); err != nil {
					t.Error(err)
				}
			})
		}
		plain := site.open("Accept-Encoding", "identity")
		reading.Go(func() { io.Copy(io.Discard, plain.response.Body) })
		all := make([]*sse.EventSource, members+1)
		for i := range all {
			all[i] = <-sources
			group.Add(all[i])
		}
		for i := range events {
			if i%(events/direct) == 1 && i/(events/direct) < direct {
				all[0].Dispatch("", "for you")
			}
			group.Dispatch("", card(i))
		}
		synctest.Wait()
		group.CloseAll()
		reading.Wait()
		time.Sleep(time.Minute) // fake
		now := sse.ReadStats()
		shared, own := since(now.Compression.Shared, before.Compression.Shared), since(now.Compression.Own, before.Compression.Own)
		stored, delivered := since(now.Compression.Stored, before.Compression.Stored), since(now.Delivered, before.Delivered)
		dispatched := since(now.Dispatched, before.Dispatched)
		if shared.Events+own.Events != events*members || stored.Events != direct || own.Events == 0 || own.Events > events {
			t.Errorf("%d shared, %d own, %d stored; want %d of the set, most of them shared, and %d", shared.Events, own.Events, stored.Events, events*members, direct)
		}
		sent, each := shared.Bytes+own.Bytes+stored.Bytes, dispatched.Bytes/events
		if got, want := sent+dispatched.Bytes, delivered.Bytes; got != want {
			t.Errorf("sent %d bytes with those of the plain stream, delivered %d", got, want)
		}
		directBytes := uint64(direct * len("13\r\ndata: for you\n\n\r\n"))
		if got, want := now.Compression.Plain-before.Compression.Plain, members*dispatched.Bytes+directBytes; got < want-2*direct || got > want {
			t.Errorf("%d bytes without compression, want %d", got, want)
		}
		if shared.Bytes/shared.Events > each/4 || own.Bytes/own.Events > each*2/3 || own.Bytes/own.Events < each/4 {
			t.Errorf("%d bytes for a shared event, %d for an own one, of %d", shared.Bytes/shared.Events, own.Bytes/own.Events, each)
		}
		// HTTP's framing is 5 to 7 bytes a piece; a stream begins and ends with 32 bytes.
		pieces := int64(members*events + direct)
		if framing := int64(sent) - arrived.Load() + 32*members; framing < 5*pieces || framing > 7*pieces {
			t.Errorf("%d bytes have arrived of %d, with a framing of %d for %d pieces", arrived.Load(), sent, framing, pieces)
		}
	})
}
