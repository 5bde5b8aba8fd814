package presence_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
)

// With calls that interleave in any way, each change fits those reported before, and at
// the end no session is present. Changed and OnLeave call the tracker themselves.
func TestInterleaving(t *testing.T) {
	tr := presence.Tracker{Grace: time.Millisecond, HiddenGrace: 2 * time.Millisecond, MaxSilence: 20 * time.Millisecond}
	reporting := make(chan struct{}, 1) // a lock, which must always be free
	here := make(map[[2]string]bool)
	exclusively := func(f func()) {
		select {
		case reporting <- struct{}{}:
			f()
			<-reporting
		default:
			t.Error("two concurrent calls, want one at a time")
		}
	}
	tr.Changed = func(c presence.Change) {
		exclusively(func() {
			key := [2]string{c.Place, c.User}
			if here[key] == c.Joined {
				t.Errorf("reported twice: %+v", c)
			}
			here[key] = c.Joined
			tr.Users(c.Place)
		})
	}
	ends := 0
	stop := tr.OnLeave(func(s presence.Session) {
		exclusively(func() {
			ends++
			if ends%10 == 0 {
				tr.Leave(presence.Session{User: s.User, Page: "other"})
			}
		})
	})
	never := tr.OnLeave(func(presence.Session) { t.Error("called after stop") })
	never()
	var tokens []string
	var ids []presence.Session
	for i := range 8 {
		token, s := tr.Token(fmt.Sprint("user ", i%3))
		tokens, ids = append(tokens, token), append(ids, s)
	}
	left := func() bool { return slices.ContainsFunc(ids, tr.Present) }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { interleave(t, &tr, tokens) })
	}
	wg.Wait()
	for begin := time.Now(); left() && time.Since(begin) < 10*time.Second; {
		time.Sleep(time.Millisecond) // graces end
	}
	time.Sleep(50 * time.Millisecond) // until the last change is reported, and users have left
	reporting <- struct{}{}
	for key, joined := range here {
		if joined {
			t.Errorf("%s is still present", key)
		}
	}
	if ends == 0 {
		t.Error("got no end of a session")
	}
	if left() {
		t.Error("sessions are left, want none")
	}
	<-reporting
	stop()
}

// interleave does 500 random things to a tracker, and then closes its streams.
func interleave(t *testing.T, tr *presence.Tracker, tokens []string) {
	var sources []*sse.EventSource
	for range 500 {
		token := tokens[rand.IntN(len(tokens))]
		s, err := tr.Session(request(token))
		if err != nil {
			t.Error(err)
		}
		switch rand.IntN(6) {
		case 0, 1:
			source := connect(t)
			sources = append(sources, source)
			if err := tr.Watch(source, fmt.Sprint(rand.IntN(2))); err != nil {
				t.Error(err)
			}
			if err := tr.Connect(source, s, fmt.Sprint(rand.IntN(2)), fmt.Sprint(rand.IntN(2))); err != nil {
				t.Error(err)
			}
		case 2:
			if len(sources) > 0 {
				sources[0].Close()
				sources = sources[1:]
			}
		case 3:
			tr.SetData(s, len(tr.Members("0")))
			tr.Leave(s)
		case 4:
			say(tr, token, "state="+[3]string{"visible", "hidden", "gone"}[rand.IntN(3)])
		case 5:
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // graces end
		}
	}
	for _, source := range sources {
		source.Close()
	}
}

// Sessions that have ended, and their places, leave nothing behind.
func TestNothingLeaks(t *testing.T) {
	tr := presence.Tracker{Grace: time.Microsecond}
	visit := func(from, to int) {
		for i := from; i < to; i++ {
			source := connect(t)
			s := presence.Session{User: fmt.Sprint("user ", i), Page: fmt.Sprint("page ", i)}
			if err := tr.Connect(source, s, fmt.Sprint("room ", i)); err != nil {
				t.Fatal(err)
			}
			tr.Leave(s)
		}
		time.Sleep(200 * time.Millisecond) // timers end
	}
	visit(0, 1000)
	before := heap()
	visit(1000, 21_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	if tr.Users("room 7") != nil {
		t.Error("sessions are left, want none")
	}
}

// A function that panics leaves the tracker as usable as before.
func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		said := ""
		tr := presence.Tracker{Grace: -1, Changed: func(c presence.Change) {
			said += c.User + " "
			if c.User == "bad" && c.Joined {
				panic("by the program")
			}
		}}
		source := connect(t)
		func() {
			defer func() { recover() }()
			tr.Connect(source, presence.Session{User: "bad", Page: "1"}, "a")
		}()
		bob := presence.Session{User: "bob", Page: "2"}
		tr.Connect(connect(t), bob, "a")
		tr.Leave(bob)
		source.Close()
		step(time.Minute)
		if want := "bad bob bob bad "; said != want || tr.Members("a") != nil {
			t.Errorf("got %q, want %q; %v are left, want none", said, want, tr.Members("a"))
		}
	})
}
