package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	crowdLocks = 300
	crowdAway  = 6 // of so many pages one does not reconnect
	crowdSpan  = 5600 * time.Millisecond
	crowdDelay = 400 * time.Millisecond // a new connection to Redis takes four round trips, within 2 s
	crowdRate  = 8 / 0.4                // records that a tracker can write in a second with that delay
)

// Many pages are connected to three processes. Whatever the broker sends to one of them is
// delayed. Another process is killed, and most of its pages, some of which hold locks,
// reconnect at the other two: at the slow one as many as it can write records of until the
// lease of the killed process is over, and some more. No page that reconnects loses its lock.
// The locks of the pages that stay away are passed on in time, no two pages hold a lock with
// one fence, and in the end both processes know the same members and holders.
func TestManySessions(t *testing.T) {
	skipShort(t)
	t.Parallel()
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) (addr string)
	}{
		{"NATS", func(t *testing.T) string { return fmt.Sprint("127.0.0.1:", startBroker(t, 1).options[0].Port) }},
		{"Redis", func(t *testing.T) string { addr, _, _ := startRedis(t); return addr }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !*full { // which measures
				t.Parallel()
			}
			surviveKill(t, tt.name, tt.start(t))
		})
	}
}

func surviveKill(t *testing.T, broker, addr string) {
	c := &crowd{t: t, pages: 1800, lease: 15 * time.Second, changed: make(chan struct{}, 1), holders: make(map[uint64][2]int)}
	if *full {
		c.pages, c.lease = 12_000, 10*time.Second
	}
	link := startSlowLink(t, addr)
	for i := range c.nodes {
		c.start(i, crowdConfig{broker, []string{addr, addr, link.addr}[i], c.lease})
	}
	c.fill()
	fences := c.lock()
	c.converge(fences) // so that nothing is left to write
	link.delay.Store(int64(crowdDelay))
	c.mu.Lock()
	c.killed = true
	c.mu.Unlock()
	begin := time.Now()
	c.nodes[0].kill()
	c.reconnect()
	t.Logf("%d pages are back after %v", c.pages/3-c.pages/3/crowdAway, time.Since(begin).Round(time.Millisecond))
	freed := c.awaitFreed(begin)
	limit := c.lease + 8*time.Second + 2*time.Second // with the default Grace
	t.Logf("the locks of pages that stay away are free after %v, want %v at most", freed.Round(time.Millisecond), limit)
	if *full && freed > limit {
		t.Errorf("a lock is free after %v, want %v at most", freed, limit)
	}
	c.converge(fences)
	t.Logf("both processes know the same after %v", time.Since(begin).Round(time.Millisecond))
	c.check(fences)
}

// A crowd is processes with pages, and what they have reported. The pages of process i begin
// with i*pages/3+1. Page k+1 takes lock k.
type crowd struct {
	t     *testing.T
	pages int
	lease time.Duration
	nodes [3]*crowdSeen

	killed bool // process 0 is, or is about to be

	mu      sync.Mutex
	changed chan struct{}
	holders map[uint64][2]int // key and page, by fence
}

// away reports whether a page stays away, now that its process was killed.
func (c *crowd) away(page int) bool {
	return c.killed && page <= c.pages/3 && page%crowdAway == 0
}

// waiter returns the page that waits for a lock, and its process.
func (c *crowd) waiter(key int) (page, at int) {
	at = 1 + key%2
	return at*c.pages/3 + key + 1, at
}

// home returns the process where a page is after one was killed.
func (c *crowd) home(page int) int {
	if at := (page - 1) / (c.pages / 3); at > 0 {
		return at
	}
	if late := int((c.lease + 3*time.Second).Seconds() * crowdRate); page%3 > 0 && page < late/2*3 {
		return 2
	}
	return 1
}

// come connects the pages that belong at each process, in that time.
func (c *crowd) come(span time.Duration, home func(page int) int) {
	c.t.Helper()
	var words [3]strings.Builder
	var want [3]int
	for page := c.pages; page > 0; page-- { // those that hold locks come last
		if at := home(page); at >= 0 {
			fmt.Fprint(&words[at], " ", page)
		}
	}
	for i, n := range c.nodes {
		if words[i].Len() > 0 {
			c.mu.Lock()
			want[i] = n.came + 1
			c.mu.Unlock()
			n.say("come %v%s", span, words[i].String())
		}
	}
	c.until("the pages are connected", func() bool {
		for i, n := range c.nodes {
			if n.came < want[i] {
				return false
			}
		}
		return true
	})
}

// fill connects all pages, at the process where each is at first.
func (c *crowd) fill() {
	c.t.Helper()
	c.come(0, func(page int) int { return (page - 1) / (c.pages / 3) })
}

// reconnect connects the pages of the killed process, except those that stay away.
func (c *crowd) reconnect() {
	c.t.Helper()
	c.come(crowdSpan, func(page int) int {
		if page > c.pages/3 || c.away(page) {
			return -1
		}
		return c.home(page)
	})
}

// lock makes pages of the process that will be killed take locks, and pages of the others
// wait for them. It returns the locks' fences.
func (c *crowd) lock() (fences [crowdLocks]uint64) {
	c.t.Helper()
	for key := range crowdLocks {
		c.nodes[0].say("take %d %d", key, key+1)
	}
	c.until("the locks are taken", func() bool { return len(c.nodes[0].entered) == crowdLocks })
	for key := range crowdLocks {
		page, at := c.waiter(key)
		c.nodes[at].say("queue %d %d", key, page)
	}
	c.until("pages wait for the locks", func() bool {
		return len(c.nodes[1].entered)+len(c.nodes[2].entered) == crowdLocks
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.nodes[0].entered {
		fences[l.Key] = l.Fence
	}
	return fences
}

// awaitFreed waits until each lock of a page that stays away was reported as free or passed
// on, and returns how long the slowest took.
func (c *crowd) awaitFreed(begin time.Time) (slowest time.Duration) {
	c.t.Helper()
	c.until("locks of pages that stay away are free", func() bool {
		first := make(map[int]time.Time)
		for _, n := range c.nodes[1:] {
			for _, l := range n.changes {
				if at, ok := first[l.Key]; l.Page != l.Key+1 && (!ok || l.Time.Before(at)) {
					first[l.Key] = l.Time
				}
			}
		}
		slowest = 0
		for key := range crowdLocks {
			at, ok := first[key]
			if c.away(key+1) && !ok {
				return false
			}
			if c.away(key + 1) {
				slowest = max(slowest, at.Sub(begin))
			}
		}
		return true
	})
	return slowest
}
