package locks_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A page gets every change of a lock that passes from holder to holder.
func TestChanges(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ctx := t.Context()
		ann, bob, carl, watcher := s.open("ann"), s.open("bob"), s.open("carl"), s.open("eve")
		table.Take(ctx, ann.Session, 7)
		table.Queue(ctx, bob.Session, 7)
		table.Queue(ctx, carl.Session, 7)
		table.Steal(ctx, carl.Session, 7, "the press waits")
		table.Queue(ctx, ann.Session, 7)
		table.Release(ctx, carl.Session, 7) // to bob
		table.Release(ctx, ann.Session, 7)  // which no longer waits
		table.Release(ctx, bob.Session, 7)
		want := []string{
			"7 taken: ann",
			"7 queued: ann, bob waits",
			"7 queued: ann, bob waits, carl waits",
			"7 stolen: carl from ann, bob waits, since the press waits",
			"7 queued: carl, bob waits, ann waits",
			"7 released: bob from carl, ann waits",
			"7 queued: bob",
			"7 released: nobody from bob",
		}
		if got := watcher.received(); !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := countHeld(table); got != 0 {
			t.Errorf("got %d locks held at the end, want 0", got)
		}
	})
}

func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ctx := t.Context()
		ann, bob := s.open("ann"), s.open("bob")
		absent := presence.Session{User: "ann", Page: "another"}
		held, err := table.Take(ctx, ann.Session, 7)
		if err != nil || held.Holder != ann.Session || held.Fence == 0 {
			t.Fatalf("Take: %+v, %v", held, err)
		}
		for _, tt := range []struct {
			name string
			do   func() (locks.Lock[int], error)
			want error
		}{
			{"take what is held", func() (locks.Lock[int], error) { return table.Take(ctx, bob.Session, 7) }, locks.ErrHeld},
			{"release by somebody else", func() (locks.Lock[int], error) { return table.Release(ctx, bob.Session, 7) }, locks.ErrNotHeld},
			{"release by another page", func() (locks.Lock[int], error) { return table.Release(ctx, absent, 7) }, locks.ErrNotHeld},
			{"release by nobody", func() (locks.Lock[int], error) { return table.Release(ctx, presence.Session{}, 7) }, locks.ErrNotHeld},
			{"renew by somebody else", func() (locks.Lock[int], error) { return table.Renew(ctx, bob.Session, 7) }, locks.ErrNotHeld},
			{"take by the absent", func() (locks.Lock[int], error) { return table.Take(ctx, absent, 7) }, locks.ErrAbsent},
			{"queue of the absent", func() (locks.Lock[int], error) { return table.Queue(ctx, absent, 7) }, locks.ErrAbsent},
			{"steal by the absent", func() (locks.Lock[int], error) { return table.Steal(ctx, absent, 7, "") }, locks.ErrAbsent},
			{"take by nobody", func() (locks.Lock[int], error) { return table.Take(ctx, presence.Session{}, 7) }, locks.ErrAbsent},
			{"take again", func() (locks.Lock[int], error) { return table.Take(ctx, ann.Session, 7) }, nil},
			{"steal from oneself", func() (locks.Lock[int], error) { return table.Steal(ctx, ann.Session, 7, "why not") }, nil},
			{"queue behind oneself", func() (locks.Lock[int], error) { return table.Queue(ctx, ann.Session, 7) }, nil},
		} {
			l, err := tt.do()
			if !errors.Is(err, tt.want) || err != nil && tt.want == nil {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
			if l.Holder != ann.Session || l.Fence != held.Fence {
				t.Errorf("%s: the lock is now %+v", tt.name, l)
			}
		}
		if err := table.Check(ctx, ann.Session, 7, held.Fence); err != nil {
			t.Error(err)
		}
		for _, err := range []error{
			table.Check(ctx, bob.Session, 7, held.Fence),
			table.Check(ctx, ann.Session, 7, held.Fence+1),
			table.Check(ctx, ann.Session, 8, held.Fence),
			table.Check(ctx, presence.Session{}, 8, 0),
		} {
			if !errors.Is(err, locks.ErrNotHeld) {
				t.Errorf("Check: %v", err)
			}
		}
		for name, do := range map[string]func(context.Context, presence.Session, int) (locks.Lock[int], error){"Release": table.Release, "Renew": table.Renew} {
			if l, err := do(ctx, presence.Session{}, 9); !errors.Is(err, locks.ErrNotHeld) {
				t.Errorf("%s of a free lock by nobody: got %+v, %v; want %v", name, l, err, locks.ErrNotHeld)
			}
		}
		if got := bob.received(); len(got) != 1 {
			t.Errorf("got changes %q, want 1", got)
		}
	})
}

func TestQueueFull(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		table.MaxQueue = 2
		for i, want := range []error{nil, nil, nil, locks.ErrQueueFull} {
			if _, err := table.Queue(t.Context(), s.open("ann").Session, 7); !errors.Is(err, want) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

// A holder that is away for less than the grace keeps the lock. One that is away for
// longer loses it to the next in the queue; a session that waits leaves the queue.
func TestGone(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ctx := t.Context()
		ann, bob, carl, watcher := s.open("ann"), s.open("bob"), s.open("carl"), s.open("eve")
		table.Take(ctx, ann.Session, 7)
		table.Queue(ctx, bob.Session, 7)
		table.Queue(ctx, carl.Session, 7)
		ann.stream.Close()
		time.Sleep(grace - time.Millisecond) // fake
		s.connect(ann)
		time.Sleep(time.Hour) // fake
		if l, _ := table.Load(7); l.Holder != ann.Session {
			t.Fatalf("after a short absence: got holder %v, want %v", l.Holder, ann.Session)
		}
		bob.stream.Close()
		time.Sleep(grace) // fake
		ann.stream.Close()
		time.Sleep(grace - time.Millisecond) // fake
		synctest.Wait()
		if l, _ := table.Load(7); l.Holder != ann.Session {
			t.Fatalf("within the grace: got holder %v, want %v", l.Holder, ann.Session)
		}
		time.Sleep(time.Millisecond) // fake
		synctest.Wait()
		s.tracker.Leave(carl.Session) // goodbye: at once
		want := []string{
			"7 taken: ann",
			"7 queued: ann, bob waits",
			"7 queued: ann, bob waits, carl waits",
			"7 queued: ann, carl waits",
			"7 left: carl from ann",
			"7 left: nobody from carl",
		}
		if got := watcher.received(); !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		table.MaxHold = time.Minute
		ctx := t.Context()
		ann, bob := s.open("ann"), s.open("bob")
		l, _ := table.Take(ctx, ann.Session, 7)
		time.Sleep(50 * time.Second) // fake

		// Neither extends the time.
		table.Queue(ctx, bob.Session, 7)
		table.Take(ctx, ann.Session, 7)
		if now, _ := table.Load(7); !now.Until.Equal(l.Since.Add(time.Minute)) {
			t.Errorf("held until %v, since %v", now.Until, l.Since)
		}
		table.Renew(ctx, ann.Session, 7)
		time.Sleep(time.Minute - time.Nanosecond) // fake
		synctest.Wait()
		if err := table.Check(ctx, ann.Session, 7, l.Fence); err != nil {
			t.Fatal("expired too early, or not renewed")
		}
		time.Sleep(time.Nanosecond) // fake
		synctest.Wait()
		if l, _ := table.Load(7); l.Holder != bob.Session {
			t.Fatalf("after a minute: got holder %v, want %v", l.Holder, bob.Session)
		}
		time.Sleep(time.Minute) // fake
		want := []string{"7 taken: ann", "7 queued: ann, bob waits", "7 expired: bob from ann", "7 expired: nobody from bob"}
		if got := ann.received(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A page that joins is sent the whole table, followed by the changes.
func TestSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ann := s.open("ann")
		table.Take(t.Context(), ann.Session, 7)
		late := s.open("eve")
		table.Release(t.Context(), ann.Session, 7)
		for _, want := range []string{"7: ann\n", "7 released: nobody from ann"} {
			if e := late.stream.Next(); e.Data != want {
				t.Errorf("got %q, want %q", e.Data, want)
			}
		}
	})
}

// Changed may use the table, and the changes that it makes are reported afterwards.
func TestChangedUsesTable(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ann := s.open("ann")
		var got []string
		table.Changed = func(c locks.Change[int]) {
			got = append(got, line(c))
			if c.Cause == locks.Taken && c.Key < 3 {
				table.Take(t.Context(), ann.Session, c.Key+1)
				table.Release(t.Context(), ann.Session, c.Key)
			}
		}
		table.Take(t.Context(), ann.Session, 1)
		want := []string{"1 taken: ann", "2 taken: ann", "1 released: nobody from ann", "3 taken: ann", "2 released: nobody from ann"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestPanicInChanged(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ann := s.open("ann")
		var got []string
		table.Changed = func(c locks.Change[int]) {
			if c.Key == 1 {
				panic("the program's own")
			}
			got = append(got, line(c))
		}
		func() {
			defer func() { recover() }()
			table.Take(t.Context(), ann.Session, 1)
		}()
		table.Take(t.Context(), ann.Session, 2)
		if want := []string{"2 taken: ann"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestClosed(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		table.MaxHold = time.Minute
		ann := s.open("ann")
		table.Take(t.Context(), ann.Session, 1)
		table.Close()
		table.Close()
		if _, err := table.Take(t.Context(), ann.Session, 2); !errors.Is(err, sse.ErrClosed) {
			t.Errorf("Take: %v", err)
		}
		s.tracker.Leave(ann.Session)
		time.Sleep(time.Hour) // fake
	})
}
