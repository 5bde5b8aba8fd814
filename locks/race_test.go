package locks_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// With many sessions at once, on one table or on two with one store, the reported
// changes are consistent: each lock passes from one holder to the next, its fences grow,
// and queued sessions get it in order. In the end no table has a held lock.
func TestAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store backplane.Store
	}{{"one table", nil}, {"two tables on a store", new(backplane.Memory)}} {
		t.Run(tt.name, func(t *testing.T) {
			bubbleOn(t, tt.store, func(t *testing.T, s *site, _ *locks.Table[int]) {
				tables := []*locks.Table[int]{{Presence: s.tracker, Name: "cards"}}
				if tt.store != nil {
					tables = append(tables, &locks.Table[int]{Presence: s.elsewhere(t), Name: "cards"})
				}
				judges := make([]judge, len(tables))
				for i, table := range tables {
					judges[i] = judge{t: t, all: tt.store == nil, last: make(map[int]locks.Lock[int]), fence: make(map[int]uint64)}
					table.Changed = judges[i].changed
					defer table.Close()
				}
				var pages []*page
				for range 50 {
					pages = append(pages, s.open("user"))
				}
				var all sync.WaitGroup
				for i, p := range pages {
					all.Go(func() { play(t, p.Session, tables[i%len(tables)], uint64(i)) })
				}
				all.Wait()
				for _, p := range pages {
					s.tracker.Leave(p.Session)
				}
				time.Sleep(time.Second) // fake
				synctest.Wait()
				for i, table := range tables {
					if got := countHeld(table); got != 0 {
						t.Errorf("table %d: got %d locks held after all sessions ended, want 0", i, got)
					}
					if n := judges[i].changes; n < 1000 {
						t.Errorf("table %d: got %d changes, want at least 1000", i, n)
					}
				}
			})
		})
	}
}

func play(t *testing.T, one presence.Session, table *locks.Table[int], seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	ctx := t.Context()
	for range 200 {
		key := random.IntN(20)
		var l locks.Lock[int]
		var err error
		switch random.IntN(5) {
		case 0:
			l, err = table.Take(ctx, one, key)
		case 1, 2:
			_, err = table.Queue(ctx, one, key)
		case 3:
			l, err = table.Steal(ctx, one, key, "")
		case 4:
			table.Release(ctx, one, key)
		}
		if err == nil && l.Held() && l.Holder != one {
			t.Errorf("Take by %v returned the lock of %v", one, l.Holder)
		}
		time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond) // fake
	}
}

// A judge checks every change that a table reports.
type judge struct {
	t       *testing.T
	all     bool // else a change may have been left out
	last    map[int]locks.Lock[int]
	fence   map[int]uint64
	changes int
}

func (j *judge) changed(c locks.Change[int]) {
	j.changes++
	before := j.last[c.Key]
	j.last[c.Key] = c.Lock
	switch {
	case c.Cause == locks.Queued:
		if c.Holder != before.Holder || c.Fence != before.Fence {
			j.t.Errorf("a change of the queue changed the holder: %+v, before %+v", c, before)
		}
		return
	case c.From != before.Holder:
		j.t.Errorf("got From %v, which was not the holder: %+v", c.From, before)
	case c.Held() && c.Fence <= j.fence[c.Key]:
		j.t.Errorf("got fence %d after %d", c.Fence, j.fence[c.Key])
	case j.all && c.Cause != locks.Stolen && c.Held() && len(before.Queue) > 0 && c.Holder != before.Queue[0]:
		j.t.Errorf("%s: got holder %v, want %v", c.Cause, c.Holder, before.Queue[0])
	case c.Cause == locks.Taken && before.Held():
		j.t.Errorf("taken, but held by %v before", before.Holder)
	}
	j.fence[c.Key] = max(j.fence[c.Key], c.Fence)
}
