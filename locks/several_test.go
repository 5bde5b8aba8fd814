package locks_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// Pages take and release locks at three processes, between which they move, while requests
// and news take up to a time. One process dies. A page that is never away for its grace
// never loses a lock, and no two hold one. A lock whose holder is gone is freed, in time
// where news is quick. In the end all processes know the same.
func TestSeveralProcesses(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name  string
		most  lag
		freed time.Duration // at most, after the end of a page
	}{
		{"quick", lag{20 * ms, 200 * ms, 0}, lease + grace + 2*time.Second},
		{"late", lag{500 * ms, 15_000 * ms, 0}, 10 * time.Minute},
		{"busy", lag{20 * ms, 200 * ms, 4_500 * ms}, lease + grace + 7*time.Second},
	} {
		seeds := uint64(60)
		if testing.Short() {
			seeds = 8
		}
		for seed := range seeds {
			t.Run(fmt.Sprint(tt.name, " ", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, seed, tt.most, tt.freed)
					for i := range 16 {
						c.running.Go(func() { c.play(i, seed) })
					}
					time.Sleep(20 * time.Second) // fake
					c.kill(0)
					c.running.Wait()
					c.compare()
				})
			})
		}
	}
}

// A cluster is three processes, and what must be true of them.
type cluster struct {
	t         *testing.T
	processes []*process
	freed     time.Duration
	running   sync.WaitGroup

	mu      sync.Mutex
	holders map[int]presence.Session // that have taken a lock and not begun to release it
	taken   int
	moved   chan struct{} // closed when a process has died
}

func newCluster(t *testing.T, seed uint64, most lag, freed time.Duration) *cluster {
	c := &cluster{t: t, freed: freed, holders: make(map[int]presence.Session), moved: make(chan struct{})}
	memory := new(backplane.Memory)
	for i := range uint64(3) {
		p := newProcess(t, newLagStore(memory, 3*seed+i, most), nil)
		c.processes = append(c.processes, p)
	}
	return c
}

// kill cuts a process off for good. Its pages lose their streams.
func (c *cluster) kill(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes[i].store.disconnect()
	c.processes[i].dead.Store(true)
	close(c.moved)
}

// alive returns a process that is not dead.
func (c *cluster) alive(random *rand.Rand) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if p := c.processes[random.IntN(len(c.processes))]; !p.dead.Load() {
			return p
		}
	}
}

// A visit is a page, and its stream at a process.
type visit struct {
	presence.Session
	at     *process
	source *sse.EventSource
}

func (c *cluster) connect(v *visit, at *process) {
	source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), nil)
	if err == nil {
		err = at.tracker.Connect(source, v.Session)
	}
	if err != nil {
		c.t.Error(err)
	}
	v.at, v.source = at, source
}

// play is a page. Every fourth one leaves while it holds a lock, the others release theirs.
func (c *cluster) play(i int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, uint64(i)))
	v := &visit{Session: presence.Session{User: fmt.Sprint("user", i), Page: fmt.Sprint("page", i)}}
	time.Sleep(time.Duration(random.Int64N(int64(time.Second)))) // fake
	c.connect(v, c.alive(random))
	for turn := range 12 {
		c.pause(v, random, 4*time.Second)
		key := random.IntN(4)
		if !c.take(v, key, random) {
			continue
		}
		c.pause(v, random, 6*time.Second)
		if i%4 == 0 && turn > 4 {
			c.leave(v, key, random.IntN(2) == 0)
			return
		}
		c.release(v, key, random)
	}
	v.source.Close()
}

// pause lets time pass, in which the page may move to another process, and must if its own
// has died. It is away for less than its grace.
func (c *cluster) pause(v *visit, random *rand.Rand, most time.Duration) {
	timer := time.After(time.Duration(random.Int64N(int64(most))))
	moved := c.moved
	if v.at.dead.Load() {
		moved = nil
	}
	select {
	case <-timer:
		if random.IntN(3) > 0 && !v.at.dead.Load() {
			place := fmt.Sprint("place", random.IntN(100)) // and so the record is written again
			if err := v.at.tracker.Connect(v.source, v.Session, place); err != nil {
				c.t.Error(err)
			}
			return
		}
	case <-moved:
		if !v.at.dead.Load() {
			<-timer
			return
		}
	}
	v.source.Close()
	time.Sleep(time.Duration(random.Int64N(int64(grace - time.Second)))) // fake
	c.connect(v, c.alive(random))
}

// take takes a lock, and reports whether it could.
func (c *cluster) take(v *visit, key int, random *rand.Rand) bool {
	l, err := c.retry(v, random, func(table *locks.Table[int]) (locks.Lock[int], error) {
		return table.Take(c.t.Context(), v.Session, key)
	})
	if errors.Is(err, locks.ErrHeld) {
		return false
	}
	if err != nil || l.Holder != v.Session {
		c.t.Errorf("Take: got holder %v, error %v", l.Holder, err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, held := c.holders[key]; held && other != v.Session {
		c.t.Errorf("lock %d was given to %v, and %v holds it", key, v.User, other.User)
	}
	c.holders[key] = v.Session
	c.taken++
	return true
}

// retry does a step at the page's process, or, if that has died, at another.
func (c *cluster) retry(v *visit, random *rand.Rand, do func(*locks.Table[int]) (locks.Lock[int], error)) (locks.Lock[int], error) {
	for {
		at := v.at
		done := make(chan struct{})
		var l locks.Lock[int]
		var err error
		go func() {
			defer close(done)
			l, err = do(at.table)
		}()
		moved := c.moved
		select {
		case <-moved: // before
			moved = nil
		default:
		}
		select {
		case <-done:
			return l, err
		case <-moved:
		}
		if !at.dead.Load() {
			<-done
			return l, err
		}
		c.pause(v, random, time.Second)
	}
}

// release releases a lock, which must be the page's.
func (c *cluster) release(v *visit, key int, random *rand.Rand) {
	c.mu.Lock()
	delete(c.holders, key)
	c.mu.Unlock()
	var tries atomic.Int32
	_, err := c.retry(v, random, func(table *locks.Table[int]) (locks.Lock[int], error) {
		again := tries.Add(1) > 1
		l, err := table.Release(c.t.Context(), v.Session, key)
		if again && errors.Is(err, locks.ErrNotHeld) {
			err = nil // the process that has died had released it
		}
		return l, err
	})
	if err != nil {
		c.t.Errorf("lock %d of %v, who was never away for long: Release: %v", key, v.User, err)
	}
}

// leave ends a page that holds a lock, which must be freed.
func (c *cluster) leave(v *visit, key int, goodbye bool) {
	c.mu.Lock()
	delete(c.holders, key)
	c.mu.Unlock()
	if goodbye {
		v.at.tracker.Leave(v.Session)
	}
	v.source.Close()
	for end := time.Now().Add(c.freed); ; {
		time.Sleep(50 * time.Millisecond) // fake
		held := ""
		for i, p := range c.processes {
			if l, _ := p.table.Load(key); !p.dead.Load() && l.Holder == v.Session {
				held += fmt.Sprint(" ", i)
			}
		}
		if held == "" {
			return
		}
		if time.Now().After(end) {
			c.t.Errorf("lock %d of %v, who is gone (goodbye: %v), is still held after %v, at processes%s", key, v.User, goodbye, c.freed, held)
			return
		}
	}
}

// compare waits until nothing happens any more. Then no lock is held, at any process.
func (c *cluster) compare() {
	time.Sleep(2 * time.Minute) // fake
	synctest.Wait()
	if c.taken < 20 {
		c.t.Errorf("got %d locks taken in all, want at least 20", c.taken)
	}
	for i, p := range c.processes {
		if n := countHeld(p.table); n != 0 && !p.dead.Load() {
			c.t.Errorf("process %d: got %d locks held, want none", i, n)
		}
	}
	for _, p := range c.processes {
		p.close()
	}
}
