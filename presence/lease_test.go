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
		if !new(presence.Tracker).Leased() {
			t.Error("not leased without a store")
		}
		var store backplane.Memory
		all := processes(t, &store, 1, func(tr *presence.Tracker) {
			w := tr.Store.(*wire)
			w.cut()
			for range 60 {
				if tr.Leased() {
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
			if !all[0].Leased() {
				t.Fatal("not leased")
			}
		}
		if n := all[0].wire.count() - before; n < 29 || n > 31 {
			t.Errorf("%d writes in 100 s", n)
		}
		// It is counted from before the store was asked, however late that answers.
		var asked time.Time
		all[0].wire.fail(func(string) (before, after error) {
			asked = time.Now()
			return nil, nil
		}, 1500*time.Millisecond)
		step(20 * time.Second)
		all[0].wire.cut()
		for all[0].Leased() {
			step(10 * time.Millisecond)
		}
		if d := time.Since(asked); d < 9*time.Second || d > 9*time.Second+10*time.Millisecond {
			t.Errorf("leased for %v after the store was asked", d)
		}
	})
}

// A process without a good lease, though it hears all, gives up nobody's sessions.
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

// Who has missed the end of a session that is back tells it all the same.
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
			if got, want := all[1].told(), "end 1, -ann@a, +ann@a"; !strings.HasSuffix(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

// What a goodbye has ended is not back because its process has not heard of it yet.
func TestUnheard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 3, nil)
		all[0].connect(t, ann, "a")
		all[0].wire.deafen()
		all[1].Leave(ann)
		step(time.Second)
		all[0].connect(t, ann, "b")
		step(time.Second)
		expect(t, all, "+ann@a, +ann@b", "+ann@a, end 1, -ann@a")
		all[0].wire.heal()
		step(time.Second)
		expect(t, all, "end 1, -ann@a, -ann@b", "")
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
					t.Errorf("it has a stream is %v, and is present at %d is %v", open, i, p.Present(ann))
				}
			}
			all[2].Leave(ann)
			step(time.Second)
		}
	})
}

// something is what a process that is deaf hears first when it is not any more: it is
// on the wire. Of what follows it hears how it has ended.
func something(t *testing.T, p *process) {
	p.connect(t, presence.Session{User: "eve", Page: "something"}).Close()
}

// A goodbye is not forgotten over the next.
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
			t.Error("the stream is open")
		}
	})
}

// A goodbye that its process could not hear has not ended the session, for nobody,
// though the process is not taken for dead.
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

// A goodbye outlives the process that has heard it.
func TestLastWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		heard := processes(t, &store, 1, nil)[0]
		step(3200 * time.Millisecond)
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		step(3400 * time.Millisecond) // it has just renewed its lease, and the other not
		all[0].wire.cut()
		something(t, all[1])
		heard.Leave(ann)
		synctest.Wait()
		heard.wire.cut()
		step(9 * time.Second)
		all[0].wire.heal()
		step(time.Second)
		expect(t, all, "+ann@a, end 1, -ann@a, end something")
	})
}

// A goodbye is heard, though a record of another was gone at that moment.
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

// Whose record others have deleted is told so by the store, if not by the watch: when
// the lease is made again, and while the record is being written.
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
		store.Watch(t.Context(), "presence/people/here", func(batch []backplane.Record, live bool) error {
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
