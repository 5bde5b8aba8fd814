package backplane_test

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/logtest"
)

func TestMemoryLog(t *testing.T) {
	var memories memories
	open := func(_ testing.TB, name string, history int) backplane.Log { return memories.open(name, history) }
	t.Run("fake time", func(t *testing.T) { logtest.RunFake(t, open) })
	t.Run("real time", func(t *testing.T) { logtest.Run(t, open) })
}

// memories holds logs and stores by name.
type memories struct{ sync.Map }

func (m *memories) open(name string, history int) *backplane.Memory {
	v, _ := m.LoadOrStore(name, &backplane.Memory{History: history})
	return v.(*backplane.Memory)
}

func TestMemoryStore(t *testing.T) {
	var memories memories
	logtest.RunStoreFake(t, func(_ testing.TB, name string) backplane.Store { return memories.open(name, 0) })
}

// A Memory gives up what is not needed: old ids, old entries, and deleted records, with
// and without a watcher.
func TestMemoryBounds(t *testing.T) {
	var m backplane.Memory
	stuck := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- m.Watch(ctx, "", func([]backplane.Record, bool) error {
			<-stuck
			return nil
		})
	}()
	id := make([]byte, 8)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	round := func(n int) {
		for i := range 150_000 {
			binary.BigEndian.PutUint64(id, uint64(n)<<32+uint64(i)) //nolint:gosec // indices
			key := string(id)
			if _, err := m.Append(ctx, key, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
			r, err := m.Swap(ctx, key, 0, make([]byte, 8), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Swap(ctx, key, r.Rev, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(1)
	before := heap()
	round(2)
	round(3)
	if after := heap(); after > before+before/4+1<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	close(stuck)
	cancel()
	<-ended
}

func BenchmarkMemory(b *testing.B) {
	var m backplane.Memory
	data := make([]byte, 100)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		id := make([]byte, 8)
		for b.Loop() {
			binary.BigEndian.PutUint64(id, binary.BigEndian.Uint64(id)+1)
			if _, err := m.Append(b.Context(), string(id), data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("swap", func(b *testing.B) {
		b.ReportAllocs()
		var r backplane.Record
		for b.Loop() {
			var err error
			if r, err = m.Swap(b.Context(), "key", r.Rev, data, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
}
