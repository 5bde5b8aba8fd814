package presence_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// The sessions of a process that has gone silent end with its lease,
// if they have not gone elsewhere.
func TestDeath(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T) {
			var store backplane.Memory
			all := processes(t, &store, 3, nil)
			all[0].connect(t, ann, "a")
			all[0].connect(t, bob, "a")
			expect(t, all, "+ann@a, +bob@a")
			step(time.Duration(rand.New(rand.NewPCG(seed, 0)).Int64N(int64(10 * time.Second))))
			all[0].wire.cut()
			step(4 * time.Second)
			all[2].connect(t, bob, "a")
			step(2 * time.Second)
			expect(t, all, "")
			step(6 * time.Second)
			expect(t, all[1:], "end 1, -ann@a")
			if got := strings.Join(keys(t, &store), " "); got != "here node node" {
				t.Errorf("got records %s in the store, want %s", got, "here node node")
			}
			begin := time.Now()
			if err := all[0].Close(); err == nil || time.Since(begin) > 2*time.Second {
				t.Errorf("Close: %v, after %v", err, time.Since(begin))
			}
		})
	}
}

// The sessions of processes that have all died do not count as present for long.
func TestLeftovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		for _, p := range processes(t, &store, 2, nil) {
			p.connect(t, ann, "a")
			p.connect(t, bob, "a")
			p.wire.cut()
		}
		step(time.Hour)
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		step(3 * time.Second)
		for i, p := range all {
			if p.Present(bob) || !p.Present(ann) {
				t.Errorf("process %d: %v are present, want only ann", i, p.Members("a"))
			}
		}
		if got := strings.Join(keys(t, &store), " "); got != "here node node" {
			t.Errorf("got records %s in the store, want %s", got, "here node node")
		}
	})
}

// A process that is cut off knows so before the others end its sessions. When it is back
// they have ended, and are present again.
func TestPartition(t *testing.T) {
	for _, lease := range []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second} {
		bubble(t, func(t *testing.T) {
			var store backplane.Memory
			all := processes(t, &store, 3, func(tr *presence.Tracker) { tr.Lease = lease })
			all[0].connect(t, ann, "a")
			all[1].connect(t, ann, "b")
			source := all[0].connect(t, bob, "a")
			token, eve := all[0].Token("eve")
			all[0].connect(t, eve, "a")
			say(all[0].Tracker, token, "state=hidden")
			step(time.Minute + 100*time.Millisecond)
			expect(t, all, "+ann@a, +ann@b, +bob@a, +eve@a")
			all[0].wire.cut()
			step(lease / 2)
			all[0].wire.heal()
			step(time.Minute)
			expect(t, all, "")
			all[0].wire.cut()
			for begin := time.Now(); time.Since(begin) < 2*lease; step(lease / 100) {
				if leased(all[0].Tracker) && !all[1].Present(bob) {
					t.Fatal("a session ended while its process had its lease")
				}
			}
			if leased(all[0].Tracker) || !leased(all[1].Tracker) {
				t.Error("the wrong processes are leased")
			}
			fate := "-ann@a, end 2, -bob@a, end " + eve.Page + ", -eve@a"
			for _, p := range all[1:] {
				if got := p.reported(); len(got) != len(fate) {
					t.Errorf("got %q, want %q in any order", got, fate)
				}
			}
			expect(t, all[:1], "") // it does not know this yet
			all[0].wire.heal()
			step(time.Second)
			if got := all[0].reported(); len(got) != len("end 2, -bob@a, +bob@a, end "+eve.Page+", -eve@a, +eve@a") || strings.Count(got, "end ") != 2 {
				t.Errorf("back again: got %q", got)
			}
			for _, p := range all[1:] {
				if got := p.reported(); len(got) != len("+ann@a, +bob@a, +eve@a") {
					t.Errorf("got %q, want the three joined", got)
				}
			}
			if !leased(all[0].Tracker) {
				t.Error("no lease again")
			}
			source.Close()
			step(time.Minute)
			expect(t, all, "end 2, -bob@a")
		})
	}
}

// The store may be down for longer than all leases: no session ends because of that.
func TestStoreAway(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			var store backplane.Memory
			all := processes(t, &store, 3, nil)
			for i, p := range all {
				p.connect(t, presence.Session{User: "ann", Page: fmt.Sprint(i)}, "a")
			}
			expect(t, all, "+ann@a")
			step(time.Duration(r.Int64N(int64(10 * time.Second))))
			for _, p := range all {
				p.wire.cut()
			}
			all[1].connect(t, bob, "b").Close()
			all[1].connect(t, bob, "c")
			step(30 * time.Second)
			for _, p := range all {
				if leased(p.Tracker) {
					t.Error("leased without a store")
				}
			}
			for _, p := range all {
				p.wire.heal()
				step(time.Duration(r.Int64N(int64(500 * time.Millisecond))))
			}
			step(10 * time.Second)
			expect(t, all, "+bob@c", "+bob@b, +bob@c, -bob@b", "+bob@c")
		})
	}
}

// With a store that is slow, fails, gives no answer and is cut off at times, all
// processes agree once it is calm, and with the changes that they have reported.
func TestFlakyStore(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			var store backplane.Memory
			all := processes(t, &store, 3, nil)
			var calm atomic.Bool // otherwise a lease is lost at times
			for _, p := range all {
				p.wire.fail(flaky(&calm), 0)
			}
			var cut *wire
			streams := make(map[presence.Session][]*sse.EventSource)
			var ids []presence.Session
			for i := range 20 {
				ids = append(ids, presence.Session{User: fmt.Sprint("user ", i/2), Page: fmt.Sprint("page ", i)})
			}
			for range 300 {
				id := ids[r.IntN(len(ids))]
				p := all[r.IntN(len(all))]
				switch r.IntN(6) {
				case 0, 1:
					streams[id] = append(streams[id], p.connect(t, id, fmt.Sprint("place ", r.IntN(3))))
				case 2:
					if len(streams[id]) > 0 {
						streams[id][0].Close()
						streams[id] = streams[id][1:]
					}
				case 3:
					p.Leave(id)
				case 4:
					step(time.Duration(r.IntN(1500)) * time.Millisecond)
				case 5:
					if i := r.IntN(30); i < len(all) && cut == nil {
						cut = all[i].wire
						cut.cut()
					} else if i < 6 && cut != nil {
						cut.heal()
						cut = nil
					}
				}
			}
			if cut != nil {
				cut.heal()
			}
			calm.Store(true)
			step(time.Minute)
			for _, id := range ids {
				open := slices.ContainsFunc(streams[id], func(source *sse.EventSource) bool { return source.ReadyState() == sse.Open })
				for i, p := range all {
					if got := p.Present(id); got != open {
						t.Errorf("seed %d: %v at process %d: got present %v, want %v", seed, id, i, got, open)
					}
				}
			}
			for _, p := range all {
				agree(t, p)
			}
		})
	}
}

// flaky returns a function that delays requests and makes half of them fail, until it is
// calm.
func flaky(calm *atomic.Bool) func(string) (before, after error) {
	return func(string) (before, after error) {
		if calm.Load() {
			return nil, nil
		}
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond) // fake
		switch rand.IntN(4) {
		case 0:
			return errors.New("no"), nil
		case 1:
			return nil, backplane.ErrIndeterminate
		}
		return nil, nil
	}
}

// agree fails if a process reported that a present user joined, or that an absent one
// left, or if the users that its reports leave are not those that are present.
func agree(t *testing.T, p *process) {
	t.Helper()
	here := make(map[string]bool)
	for _, line := range p.all() {
		switch key := line[1:]; {
		case strings.HasPrefix(line, "end "):
		case here[key] == (line[0] == '+'):
			t.Errorf("reported twice: %s", line)
		case line[0] == '+':
			here[key] = true
		default:
			delete(here, key)
		}
	}
	for i := range 3 {
		place := fmt.Sprint("place ", i)
		for _, user := range p.Users(place) {
			if !here[user+"@"+place] {
				t.Errorf("%s is in %s, which was not reported", user, place)
			}
			delete(here, user+"@"+place)
		}
	}
	if len(here) > 0 {
		t.Errorf("reported as present, and are not: %v", here)
	}
}
