package e2e

import (
	"os"
	"testing"
	"time"
)

// Processes and servers are killed, and each of 300 clients, which go from one
// process to another all the time, gets each event once.
func TestHubsKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, make([]string, 3), local[:])
	h := natsHubs(t, c, hubConfig{})
	a := newAudience(t, h.addrs())
	for i := range 300 {
		a.add(-1, 4*time.Second, [][]string{hubSets, hubSets[:1], hubSets[1:]}[i%3]...)
	}
	a.come()
	h.sayAll("write 2 -1 100ms")
	h.growing(a, 20)
	t.Logf("before: the longest time without an event %v", a.stalls())
	rounds := 1
	if *full {
		rounds = 5
	}
	for range rounds {
		h.nodes[1].kill()
		h.start(1)
		h.nodes[1].say("write 2 -1 100ms")
		h.growing(a, 20)
		t.Logf("process: %v", a.stalls())
		for _, victim := range []string{"leads the log", "does not lead it"} {
			i := c.leader("SSE_faults")
			if victim == "does not lead it" {
				i = (i + 1) % 3
			}
			c.running[i].kill()
			h.growing(a, 20)
			c.startServer(i)
			h.growing(a, 20)
			t.Logf("server that %s: %v", victim, a.stalls())
		}
		if *full {
			for _, p := range c.running {
				p.kill()
			}
			for i := range c.running {
				c.startServer(i)
			}
			h.growing(a, 20)
			t.Logf("all servers at once: %v", a.stalls())
		}
	}
	h.settle(a)
}

// While the broker is down streams stay open and are kept alive, clients that
// reconnect resume, and dispatches fail when their context ends. Afterwards everything
// continues without help.
func TestHubsBrokerStopped(t *testing.T) {
	t.Parallel()
	keepAlives := 8 // one comes every second
	if *full {
		keepAlives = 28
	}
	c := startCluster(t, make([]string, 1), local[:1])
	h := natsHubs(t, c, hubConfig{Attempt: 2 * time.Second})
	a := newAudience(t, h.addrs())
	for i := range 30 {
		a.add(i%3, 0, hubSets...)
		a.add(-1, time.Second, hubSets...)
	}
	a.come()
	h.sayAll("write 2 -1 50ms")
	h.growing(a, 50)
	begin := time.Now()
	c.running[0].kill()
	// A client that has missed something gets it from memory.
	late := newAudience(t, h.addrs())
	late.late = true
	for i := range 3 {
		l := late.add(i, 0, hubSets...)
		l.id = a.earlier(40)
	}
	late.come()
	late.until("it has what it missed", func(l *listener) bool { return l.events >= 30 }) // the newest of the 40 may not have reached its process
	took := time.Since(begin)
	late.leave()
	for _, s := range h.nodes { // each of two writers has two outcomes
		s.mu.Lock()
		failures := s.unknown + s.unsent
		s.mu.Unlock()
		s.until(t, "failures", func() bool { return s.unknown+s.unsent >= failures+4 })
	}
	a.keptAlive(keepAlives)
	a.stalls()
	c.startServer(0)
	begin = time.Now()
	h.growing(a, 20)
	t.Logf("resumed within %v without the broker; all go on %v after it is back", took, time.Since(begin))
	h.settle(a)
	for _, s := range h.all {
		s.mu.Lock()
		if attempt := h.config[0].Attempt; s.slowest > 3*attempt && *full {
			t.Errorf("a dispatch with a context of %v took %v, want %v at most", attempt, s.slowest, 3*attempt)
		}
		s.mu.Unlock()
	}
	for i, l := range a.listeners {
		if l.stay == 0 && l.visited != 1 {
			t.Errorf("client %d connected %d times, want 1", i, l.visited)
		}
	}
}

// A broker that comes back without its history is a gap to every client, and new
// events follow it.
func TestHubsLostHistory(t *testing.T) {
	t.Parallel()
	for _, memory := range []bool{false, true} {
		t.Run(map[bool]string{false: "file", true: "memory"}[memory], func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, make([]string, 1), local[:1])
			h := natsHubs(t, c, hubConfig{Memory: memory})
			a := newAudience(t, h.addrs())
			a.gaps = true
			for i := range 18 {
				l := a.add(i%3, 0, [][]string{hubSets, hubSets[:1], hubSets[1:]}[i%3]...)
				l.home = i / 3 % 3
				if i >= 9 {
					l.id = "nonsense" // or else it has none
				}
			}
			a.come()
			h.sayAll("write 2 -1 50ms")
			h.growing(a, 20)
			c.running[0].kill()
			if !memory {
				if err := os.RemoveAll(c.servers[0].Dir); err != nil {
					t.Fatal(err)
				}
			}
			c.startServer(0)
			begin := time.Now()
			a.until("it was told", func(l *listener) bool {
				return l.told["gap"] == count(l.sets, "a") && l.told["state"] == count(l.sets, "s")
			})
			t.Logf("told within %v", time.Since(begin))
			h.growing(a, 20)
			h.settle(a)
			a.until("it was told once", func(l *listener) bool {
				return l.told["gap"] == count(l.sets, "a") && l.told["state"] == count(l.sets, "s") && l.visited == 1
			})
		})
	}
}

// count returns how often a list has an element.
func count(list []string, element string) (n int) {
	for _, s := range list {
		if s == element {
			n++
		}
	}
	return n
}
