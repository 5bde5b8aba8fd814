package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A crowdSeen is what one process has reported. It is guarded by the crowd's mu.
type crowdSeen struct {
	*process

	ready, came int
	entered     []crowdLine
	checked     []crowdLine
	changes     []crowdLine
	places      [crowdPlaces][]int
	locks       [crowdLocks]crowdLine
	listed      int
}

func (c *crowd) start(i int, config crowdConfig) {
	c.t.Helper()
	n := new(crowdSeen)
	c.nodes[i] = n
	n.process = spawn(c.t, "", "crowd", config, func(line string) {
		var l crowdLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			c.t.Errorf("process %d says %q", i, line)
			return
		}
		if l.Err != "" {
			c.t.Errorf("process %d: %s: lock %d, page %d: %s", i, l.What, l.Key, l.Page, l.Err)
		}
		c.hear(n, l)
		select {
		case c.changed <- struct{}{}:
		default:
		}
	})
	c.until("a process is ready", func() bool { return n.ready == 1 })
}

func (c *crowd) hear(n *crowdSeen, l crowdLine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l.What {
	case "ready":
		n.ready++
	case "came":
		n.came++
	case "entered":
		n.entered = append(n.entered, l)
		c.hold(l)
	case "checked":
		n.checked = append(n.checked, l)
	case "changed":
		if l.Page != l.Key+1 && !c.away(l.Key+1) {
			c.t.Errorf("lock %d of page %d, which is there, was passed to page %d with fence %d", l.Key, l.Key+1, l.Page, l.Fence)
		}
		for _, before := range n.changes {
			if before.Key == l.Key && before.Fence >= l.Fence && l.Page > 0 && before.Page != l.Page {
				c.t.Errorf("lock %d: fence %d of page %d is followed by %d of page %d", l.Key, before.Fence, before.Page, l.Fence, l.Page)
			}
		}
		n.changes = append(n.changes, l)
		c.hold(l)
	case "place":
		slices.Sort(l.Pages)
		n.places[l.Place] = l.Pages
	case "lock":
		n.locks[l.Key] = l
		c.hold(l)
	case "listed":
		n.listed++
	}
}

// hold notes who holds a lock. The caller holds c.mu.
func (c *crowd) hold(l crowdLine) {
	if l.Page == 0 {
		return
	}
	now := [2]int{l.Key, l.Page}
	if before, ok := c.holders[l.Fence]; ok && before != now {
		c.t.Errorf("fence %d: lock %d is held by page %d, and lock %d by page %d", l.Fence, before[0], before[1], now[0], now[1])
	}
	c.holders[l.Fence] = now
}

// until waits until a condition holds, unless the test has failed. It is asked under c.mu.
func (c *crowd) until(what string, condition func() bool) {
	c.t.Helper()
	for late := time.After(faultPatience); ; {
		c.mu.Lock()
		ok := condition()
		c.mu.Unlock()
		if c.t.Failed() {
			c.t.FailNow()
		}
		if ok {
			return
		}
		select {
		case <-c.changed:
		case <-late:
			c.t.Fatalf("not within %v: %s", faultPatience, what)
		}
	}
}

// converge waits until the processes 1 and 2 know exactly the pages that are present in
// each place, and the same holder and fence of each lock.
func (c *crowd) converge(fences [crowdLocks]uint64) {
	c.t.Helper()
	var places [crowdPlaces][]int
	for page := 1; page <= c.pages; page++ {
		if !c.away(page) {
			places[page%crowdPlaces] = append(places[page%crowdPlaces], page)
		}
	}
	for late := time.Now().Add(faultPatience); ; {
		for _, n := range c.nodes[1:] {
			c.mu.Lock()
			want := n.listed + 1
			c.mu.Unlock()
			n.say("list %d", crowdLocks)
			c.until("a process lists what it knows", func() bool { return n.listed == want })
		}
		difference := c.difference(places, fences)
		if difference == "" {
			return
		}
		if time.Now().After(late) {
			c.t.Fatalf("after %v: %s", faultPatience, difference)
		}
		time.Sleep(30 * time.Millisecond) // between two looks
	}
}

// difference describes a place or a lock of which a process has listed another state.
func (c *crowd) difference(places [crowdPlaces][]int, fences [crowdLocks]uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.nodes[1:] {
		for place, want := range places {
			if got := n.places[place]; !slices.Equal(got, want) {
				return fmt.Sprintf("process %d: %d pages in place %d, want %d: got %v, want %v", i+1, len(got), place, len(want), got, want)
			}
		}
		for key, fence := range fences {
			page := key + 1
			if c.away(page) {
				page, _ = c.waiter(key)
				fence = c.nodes[1].locks[key].Fence
			}
			if got := n.locks[key]; got.Page != page || got.Fence != fence {
				return fmt.Sprintf("process %d: lock %d: got page %d, fence %d; want page %d, fence %d", i+1, key, got.Page, got.Fence, page, fence)
			}
		}
	}
	return ""
}

// check ensures that each page that reconnected may save what its lock is for.
func (c *crowd) check(fences [crowdLocks]uint64) {
	c.t.Helper()
	kept := 0
	for key, fence := range fences {
		if page := key + 1; !c.away(page) {
			kept++
			c.nodes[c.home(page)].say("check %d %d %d", key, page, fence)
		}
	}
	c.until("the locks are checked", func() bool { return len(c.nodes[1].checked)+len(c.nodes[2].checked) == kept })
	c.t.Logf("%d locks were kept, %d passed on", kept, crowdLocks-kept)
}
