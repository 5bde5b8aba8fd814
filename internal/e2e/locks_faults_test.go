package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

const (
	lockLease = 3 * time.Second
	lockLimit = lockLease + 5*time.Second // until another process has the lock, on an idle machine
)

// lockers are processes with a table, and what they have said.
type lockers struct {
	t       *testing.T
	servers *cluster
	started int

	mu      sync.Mutex
	changed chan struct{}
	failure error
	said    map[string][]lockLine // by name
	ready   map[string]bool
}

type locker struct {
	*process

	name string
}

func newLockers(t *testing.T, c *cluster) *lockers {
	return &lockers{t: t, servers: c, changed: make(chan struct{}, 1), said: make(map[string][]lockLine), ready: make(map[string]bool)}
}

// start starts a process, and waits until it can take locks.
func (k *lockers) start(network string) *locker {
	k.t.Helper()
	name := fmt.Sprintf("p%d", k.started)
	k.started++
	p := &locker{name: name}
	p.process = spawn(k.t, network, "locks", lockConfig{name, k.servers.urls(k.started), lockLease}, func(line string) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if line == "ready" {
			k.ready[name] = true
		} else if l, err := parseLockLine(line); err != nil {
			k.failure = fmt.Errorf("%s: %w", name, err)
		} else {
			k.said[name] = append(k.said[name], l)
		}
		select {
		case k.changed <- struct{}{}:
		default:
		}
	})
	k.until("ready", func() bool { return k.ready[name] })
	return p
}

func (k *lockers) until(what string, condition func() bool) {
	k.t.Helper()
	late := time.After(faultPatience)
	for {
		k.mu.Lock()
		ok, failure := condition(), k.failure
		k.mu.Unlock()
		switch {
		case failure != nil:
			k.t.Fatal(failure)
		case ok:
			return
		}
		select {
		case <-k.changed:
		case <-late:
			k.t.Fatalf("%s: not within %v", what, faultPatience)
		}
	}
}

// last returns the newest line of a kind about a key. The caller holds k.mu.
func (k *lockers) last(p *locker, what, key string) (l lockLine, ok bool) {
	for _, line := range k.said[p.name] {
		if line.what == what && line.key == key {
			l, ok = line, true
		}
	}
	return l, ok
}

// check sees to it that no two sessions ever had one fence, that who took a lock
// later has the greater one, and that nobody releases what another has by then.
func (k *lockers) check(keys ...string) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	holders := make(map[uint64]string)
	count := 0
	for _, key := range keys {
		var all, released []lockLine
		for name, lines := range k.said {
			for _, l := range lines {
				if l.what == "released" && l.key == key {
					released = append(released, l)
				}
				if l.what != "held" || l.key != key {
					continue
				}
				if other, ok := holders[l.fence]; ok && other != name+key {
					k.t.Errorf("%s and %s have got %d", other, name+key, l.fence)
				}
				holders[l.fence] = name + key
				all = append(all, l)
			}
		}
		for _, before := range all {
			for _, after := range all {
				if before.end.Before(after.begin) && before.fence > after.fence {
					k.t.Errorf("%s: %d was held before %d", key, before.fence, after.fence)
				}
			}
		}
		for _, before := range released {
			for _, after := range all {
				if before.fence < after.fence && before.begin.After(after.end) {
					k.t.Errorf("%s: %d was released after %d was held", key, before.fence, after.fence)
				}
			}
		}
		count += len(all)
	}
	k.t.Logf("locks were taken %d times", count)
}

// The lock of a process that is killed is free when its lease is over, and no two
// hold a lock with one fence, whoever is killed meanwhile.
func TestLocksKilled(t *testing.T) {
	t.Parallel()
	rounds := 2
	if *full {
		rounds = 10
	}
	k := newLockers(t, startCluster(t, make([]string, 1), local[:1]))
	all := []*locker{k.start(""), k.start(""), k.start("")}
	for round := range rounds {
		key := fmt.Sprint("killed", round)
		holder, next := all[round%3], all[(round+1)%3]
		holder.say("hold %s", key)
		k.until("held", func() bool { _, ok := k.last(holder, "valid", key); return ok })
		next.say("hold %s", key)
		for _, p := range all {
			if round == 0 {
				p.say("contend a b c")
			}
		}
		begin := time.Now()
		holder.kill()
		var got lockLine
		k.until("held by the next", func() (ok bool) { got, ok = k.last(next, "held", key); return ok })
		took := got.end.Sub(begin)
		t.Logf("the holder's process was killed: free after %v, with a lease of %v", took.Round(time.Millisecond), lockLease)
		if took > lockLimit && *full {
			t.Errorf("free after %v, want %v at most", took, lockLimit)
		}
		all[round%3] = k.start("")
		all[round%3].say("contend a b c")
	}
	for _, p := range all {
		p.kill()
	}
	k.check("a", "b", "c")
}

// A process that is cut off knows so before another one gets its lock.
func TestLocksCutOff(t *testing.T) {
	net := layBridge(t)
	k := newLockers(t, startCluster(t, net.names[:1], net.hosts[:1]))
	holder, next := k.start(net.names[1]), k.start(net.names[2])
	rounds := 1
	if *full {
		rounds = 5
	}
	for round := range rounds {
		key := fmt.Sprint("cut", round)
		holder.say("hold %s", key)
		k.until("held", func() bool { _, ok := k.last(holder, "valid", key); return ok })
		next.say("hold %s", key)
		begin := time.Now()
		heal := net.isolate(1)
		var got, last, cut lockLine
		k.until("held by the next", func() (ok bool) { got, ok = k.last(next, "held", key); return ok })
		k.until("it knows", func() (ok bool) { cut, ok = k.last(holder, "cutoff", key); return ok })
		k.mu.Lock()
		last, _ = k.last(holder, "valid", key)
		k.mu.Unlock()
		t.Logf("cut off: it knows after %v, the next has the lock after %v", cut.begin.Sub(begin).Round(time.Millisecond), got.end.Sub(begin).Round(time.Millisecond))
		if !cut.begin.Before(got.end) || !last.begin.Before(cut.begin) {
			t.Errorf("it is valid until %v, and cut off at %v; the next has it at %v", last.begin, cut.begin, got.end)
		}
		if took := got.end.Sub(begin); took > lockLimit && *full {
			t.Errorf("the next has the lock after %v, want %v at most", took, lockLimit)
		}
		heal()
		k.until("it has lost it", func() bool { _, ok := k.last(holder, "lost", key); return ok })
	}
}
