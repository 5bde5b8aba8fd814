package presence_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// A lease costs three writes in its time, and lasts.
func TestRenewals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		if !leased(new(presence.Tracker)) {
			t.Error("not leased without a store")
		}
		var store backplane.Memory
		all := processes(t, &store, 1, func(tr *presence.Tracker) {
			w := tr.Store.(*wire)
			w.cut()
			for range 60 {
				if leased(tr) {
					t.Error("leased before the store has answered")
				}
				step(time.Second)
			}
			w.heal()
		})
		step(time.Second)
		all[0].connect(t, ann, "a")
		all[0].wire.fail(nil, 0)
		before := all[0].wire.count()
		for range 1000 {
			step(100 * time.Millisecond)
			if !leased(all[0].Tracker) {
				t.Fatal("not leased")
			}
		}
		if n := all[0].wire.count() - before; n < 29 || n > 31 {
			t.Errorf("got %d writes in 100 s, want 30", n)
		}
		// The lease is measured from before the request, even if the answer is late.
		var asked time.Time
		all[0].wire.fail(func(string) (before, after error) {
			asked = time.Now()
			return nil, nil
		}, 1500*time.Millisecond)
		step(20 * time.Second)
		all[0].wire.cut()
		for leased(all[0].Tracker) {
			step(10 * time.Millisecond)
		}
		if d := time.Since(asked); d < 9*time.Second || d > 9*time.Second+10*time.Millisecond {
			t.Errorf("leased for %v after the request, want 9 s", d)
		}
	})
}

// A process without a lease deletes no records of others, although it sees everything.
func TestUnsure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		all[1].connect(t, ann, "a")
		all[0].wire.fail(func(key string) (before, after error) {
			if strings.Contains(key, "/node/") {
				return errors.New("no"), nil
			}
			return nil, nil
		}, 0)
		step(9 * time.Second)
		all[1].wire.cut()
		step(time.Minute)
		expect(t, all[:1], "+ann@a")
		all[0].wire.fail(nil, 0)
		step(5 * time.Second)
		expect(t, all[:1], "end 1, -ann@a")
	})
}

// A process that has missed the end of a session that is back reports the end all the
// same.
func TestMissed(t *testing.T) {
	for _, goodbye := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			var store backplane.Memory
			all := processes(t, &store, 2, func(tr *presence.Tracker) { tr.Grace = -1 })
			source := all[0].connect(t, ann, "a")
			expect(t, all, "+ann@a")
			all[1].wire.deafen()
			something(t, all[0])
			if goodbye {
				all[0].Leave(ann)
			} else {
				source.Close()
			}
			synctest.Wait()
			all[0].connect(t, ann, "a")
			step(time.Second)
			all[1].wire.heal()
			step(time.Second)
			if got, want := all[1].reported(), "end 1, -ann@a, +ann@a"; !strings.HasSuffix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// A session that a goodbye has ended does not come back because its own process has not
// seen the goodbye yet.
func TestUnheard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 3, nil)
		all[0].connect(t, ann, "a")
		all[0].wire.deafen()
		all[1].Leave(ann)
		step(time.Second)
		all[0].connect(t, ann, "a")
		step(time.Second)
		expect(t, all, "+ann@a", "+ann@a, end 1, -ann@a")
		all[0].wire.heal()
		step(time.Second)
		expect(t, all, "end 1, -ann@a", "")
		// Heard after all, or never: all agree.
		for _, first := range []bool{true, false} {
			source := all[0].connect(t, ann, "a")
			all[0].wire.cut()
			if first {
				something(t, all[1])
			}
			all[1].Leave(ann)
			step(time.Minute)
			all[0].wire.heal()
			step(time.Minute)
			for i, p := range all {
				if open := source.ReadyState() == sse.Open; open != first || p.Present(ann) != open {
					t.Errorf("process %d: stream open %v, present %v; want both %v", i, open, p.Present(ann), first)
				}
			}
			all[2].Leave(ann)
			step(time.Second)
		}
	})
}

// something makes the change that a deaf process sees first when it is no longer deaf: it
// is on the wire already. Of the changes that follow, the process sees the outcome.
func something(t *testing.T, p *process) {
	p.connect(t, presence.Session{User: "eve", Page: "something"}).Close()
}

// A goodbye is not lost when another one follows.
func TestTwoGoodbyes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		source := all[0].connect(t, ann, "a")
		all[0].wire.deafen()
		something(t, all[1])
		for range 3 {
			all[1].Leave(ann)
			synctest.Wait()
			all[1].connect(t, ann, "b")
		}
		all[0].wire.heal()
		synctest.Wait()
		if source.ReadyState() != sse.Closed {
			t.Error("the stream is open, want it closed")
		}
	})
}

// A goodbye that the session's process could not see has not ended the session at any
// process, although that process does not count as dead.
func TestNeverHeard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		all[0].wire.cut()
		something(t, all[1])
		all[1].Leave(ann)
		synctest.Wait()
		all[1].wire.cut()
		step(time.Minute)
		for _, p := range all {
			p.wire.heal()
			step(500 * time.Millisecond)
		}
		step(time.Minute)
		expect(t, all, "+ann@a, end something", "+ann@a, end 1, -ann@a, end something, +ann@a")
	})
}

// A goodbye outlives the process that has received it.
func TestLastWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		heard := processes(t, &store, 1, nil)[0]
		step(3200 * time.Millisecond)
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		step(3400 * time.Millisecond) // it has just renewed its lease, and the other has not
		all[0].wire.cut()
		something(t, all[1])
		heard.Leave(ann)
		synctest.Wait()
		heard.wire.cut()
		step(9 * time.Second)
		all[0].wire.heal()
		step(time.Second)
		expect(t, all, "+ann@a, end 1, end something, -ann@a", "+ann@a, end 1, -ann@a, end something")
	})
}

// A goodbye is seen, although the record of another session was gone at that moment.
func TestSecondGoodbye(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		all[1].Leave(ann)
		step(5 * time.Second)
		all[0].connect(t, ann, "a")
		all[1].wire.deafen()
		step(20 * time.Second)
		all[1].Leave(ann)
		step(time.Second)
		expect(t, all, "+ann@a, end 1, -ann@a, +ann@a, end 1, -ann@a")
	})
}

// A process whose record others have deleted learns that from the store, if not from the
// watch: when it gets its lease again, and while it writes the record.
func TestSwept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		all[0].wire.cut()
		step(20 * time.Second)
		all[0].wire.heal()
		all[0].wire.deafen()
		step(time.Second)
		expect(t, all, "+ann@a, end 1, -ann@a, +ann@a")
		all[0].wire.heal()
		step(time.Second)
		expect(t, all, "")

		all[0].wire.fail(nil, 2*time.Second)
		all[0].connect(t, bob, "a")
		step(time.Second)
		store.Watch(t.Context(), "presence/here", func(batch []backplane.Record, live bool) error {
			for _, r := range batch {
				if strings.Contains(string(r.Value), "bob") {
					if _, err := store.Swap(t.Context(), r.Key, r.Rev, nil, 0); err != nil {
						t.Error(err)
					}
				}
			}
			return backplane.ErrClosed
		})
		step(time.Minute)
		expect(t, all, "+bob@a, end 2, -bob@a, +bob@a")
	})
}
