package locks_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/locks"
	"example.org/sse/presence"
)

// When 50 sessions do random things to 20 locks, one after the other, the table behaves
// as a simple model does, and all pages get the same changes. MaxHold is such that no
// lock expires at the moment when a session's grace ends.
func TestModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
				table.MaxHold = 20*time.Second + 500*time.Microsecond
				w := newWorld(t, s, table, 50, 20)
				random := rand.New(rand.NewPCG(seed, 0))
				for range 600 {
					w.sleep(time.Duration(1+random.IntN(400)) * time.Millisecond)
					w.do(random.IntN(10), random.IntN(50), random.IntN(20))
				}
				w.sleep(time.Minute)
				w.compare(s.open("eve"))
			})
		})
	}
}

// A world is a table and the model of it.
type world struct {
	t     *testing.T
	site  *site
	table *locks.Table[int]
	pages []*page
	eyes  []*page // they are always there

	away  map[presence.Session]time.Time // when the grace is over
	gone  map[presence.Session]bool
	locks []model
}

type model struct {
	holder  presence.Session
	until   time.Time
	queue   []presence.Session
	changes []string
}

func newWorld(t *testing.T, s *site, table *locks.Table[int], sessions, keys int) *world {
	w := &world{t: t, site: s, table: table, locks: make([]model, keys),
		away: make(map[presence.Session]time.Time), gone: make(map[presence.Session]bool)}
	w.eyes = []*page{s.open("eve"), s.open("eve")}
	for i := range sessions {
		w.pages = append(w.pages, s.open(fmt.Sprint("user", i)))
	}
	return w
}

// do applies a page's operation to a lock and to the model.
func (w *world) do(what, who, key int) {
	p, m := w.pages[who], &w.locks[key]
	ctx, one, here := w.t.Context(), p.Session, !w.gone[p.Session]
	switch what {
	default: // take
		w.table.Take(ctx, one, key)
		if here && m.holder == nobody {
			w.grant(key, one, locks.Taken, "")
		}
	case 1, 2, 3: // queue
		w.table.Queue(ctx, one, key)
		switch {
		case here && m.holder == nobody:
			w.grant(key, one, locks.Taken, "")
		case here && m.holder != one && !slices.Contains(m.queue, one):
			m.queue = append(m.queue, one)
			w.changed(key, locks.Queued, nobody, "")
		}
	case 4, 5: // release
		w.table.Release(ctx, one, key)
		w.release(key, one, locks.Released)
	case 6: // steal
		reason := fmt.Sprint("of ", who)
		w.table.Steal(ctx, one, key, reason)
		switch {
		case here && m.holder == nobody:
			w.grant(key, one, locks.Taken, "")
		case here && m.holder != one:
			w.grant(key, one, locks.Stolen, reason)
		}
	case 7: // drop, or come back
		if w.gone[one] || !w.away[one].IsZero() {
			w.site.connect(p)
			delete(w.away, one)
			delete(w.gone, one)
		} else {
			p.stream.Close()
			w.away[one] = time.Now().Add(grace)
		}
	case 8: // goodbye
		w.site.tracker.Leave(one)
		delete(w.away, one)
		w.leave(one)
	case 9: // renew
		w.table.Renew(ctx, one, key)
		if m.holder == one {
			m.until = time.Now().Add(w.table.MaxHold)
		}
	}
	synctest.Wait()
	w.check()
}

var nobody presence.Session

// sleep lets time pass, and applies to the model what is due, in order.
func (w *world) sleep(d time.Duration) {
	end := time.Now().Add(d)
	for {
		at, due := end, func() {}
		for one, until := range w.away {
			if !until.After(at) {
				at, due = until, func() { delete(w.away, one); w.leave(one) }
			}
		}
		for key, m := range w.locks {
			if m.holder != nobody && m.until.Before(at) {
				at, due = m.until, func() { w.pass(key, locks.Expired) }
			}
		}
		time.Sleep(time.Until(at)) // fake
		synctest.Wait()
		due()
		if at.Equal(end) {
			return
		}
	}
}

func (w *world) leave(one presence.Session) {
	w.gone[one] = true
	for key := range w.locks {
		w.release(key, one, locks.Left)
	}
}

func (w *world) release(key int, one presence.Session, cause locks.Cause) {
	m := &w.locks[key]
	if m.holder == one {
		w.pass(key, cause)
	} else if i := slices.Index(m.queue, one); i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
		w.changed(key, locks.Queued, nobody, "")
	}
}

func (w *world) pass(key int, cause locks.Cause) {
	m := &w.locks[key]
	next := nobody
	if len(m.queue) > 0 {
		next = m.queue[0]
	}
	w.grant(key, next, cause, "")
}

func (w *world) grant(key int, to presence.Session, cause locks.Cause, reason string) {
	m := &w.locks[key]
	from := m.holder
	m.holder, m.until = to, time.Now().Add(w.table.MaxHold)
	m.queue = slices.DeleteFunc(m.queue, func(s presence.Session) bool { return s == to })
	w.changed(key, cause, from, reason)
}

func (w *world) changed(key int, cause locks.Cause, from presence.Session, reason string) {
	m := &w.locks[key]
	m.changes = append(m.changes, line(locks.Change[int]{
		Lock:  locks.Lock[int]{Key: key, Holder: m.holder, Queue: m.queue},
		Cause: cause, From: from, Reason: reason,
	}))
}

// check compares the table with the model.
func (w *world) check() {
	w.t.Helper()
	held := 0
	for key, m := range w.locks {
		l, ok := w.table.Load(key)
		if l.Holder != m.holder || ok != (m.holder != nobody) || !slices.Equal(l.Queue, m.queue) {
			w.t.Fatalf("lock %d: got holder %v, queue %v; want %v, %v", key, l.Holder, l.Queue, m.holder, m.queue)
		}
		if ok {
			held++
		}
	}
	if got := countHeld(w.table); got != held {
		w.t.Fatalf("got %d locks held, want %d", got, held)
	}
}

// compare compares the changes that the pages got with the model's.
func (w *world) compare(late *page) {
	first := w.eyes[0].received()
	if second := w.eyes[1].received(); !slices.Equal(first, second) {
		w.t.Errorf("two pages got different changes:\n%q\n%q", first, second)
	}
	for key, m := range w.locks {
		var got []string
		for _, text := range first {
			if strings.HasPrefix(text, fmt.Sprint(key, " ")) {
				got = append(got, text)
			}
		}
		if !slices.Equal(got, m.changes) {
			w.t.Errorf("changes of lock %d: got\n%s\nwant\n%s", key, strings.Join(got, "\n"), strings.Join(m.changes, "\n"))
		}
	}
	if e := late.stream.Next(); e.Type != "locks" {
		w.t.Errorf("a page that joins late: got %+v first, want the event locks", e)
	}
}
