package presence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// A process has a tracker and what that has reported.
type process struct {
	*presence.Tracker
	*recorder
	wire *wire
}

// processes returns n processes that share a store until the test ends, in the bubble.
func processes(t *testing.T, store *backplane.Memory, n int, set func(*presence.Tracker)) []*process {
	var list []*process
	for range n {
		w := &wire{store: store}
		p := &process{Tracker: &presence.Tracker{Key: []byte("one"), Store: w, Grace: 5 * time.Second}, wire: w}
		if set != nil {
			set(p.Tracker)
		}
		p.recorder = record(p.Tracker)
		t.Cleanup(func() { p.Close() })
		list = append(list, p)
		synctest.Wait()
	}
	return list
}

// expect fails unless each process has reported want since the last call.
func expect(t *testing.T, list []*process, want ...string) {
	t.Helper()
	for i, p := range list {
		w := want[min(i, len(want)-1)]
		if got := p.reported(); got != w {
			t.Errorf("process %d reported %q, want %q", i, got, w)
		}
	}
}

func (p *process) connect(t *testing.T, s presence.Session, places ...string) *sse.EventSource {
	t.Helper()
	source := connect(t)
	if err := p.Connect(source, s, places...); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	return source
}

// keys returns the kinds of the records in a store.
func keys(t *testing.T, store backplane.Store) (list []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store.Watch(ctx, "", func(batch []backplane.Record, live bool) error {
		for _, r := range batch {
			if r.Value != nil {
				list = append(list, strings.Split(r.Key, "/")[1])
			}
		}
		cancel()
		return nil
	})
	slices.Sort(list)
	return list
}

var ann, bob = presence.Session{User: "ann", Page: "1"}, presence.Session{User: "bob", Page: "2"}

// A page that moves from one process to another within its grace, or is at two at the
// same time, is never gone.
func TestRoaming(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 3, nil)
		one := all[0].connect(t, ann, "a", "b")
		expect(t, all, "+ann@a, +ann@b")
		one.Close()
		step(4 * time.Second)
		two := all[1].connect(t, ann, "b")
		step(time.Minute)
		expect(t, all, "-ann@a")
		for range 3 {
			one = all[0].connect(t, ann, "b")
			two.Close()
			step(time.Minute)
			two = all[1].connect(t, ann, "b")
			one.Close()
			step(time.Minute)
		}
		expect(t, all, "")
		late := processes(t, &store, 1, nil)
		expect(t, late, "+ann@b")
		all = append(all, late...)
		two.Close()
		step(5*time.Second - 1)
		expect(t, all, "")
		step(1)
		expect(t, all, "end 1, -ann@b")
		if got := strings.Join(keys(t, &store), " "); got != "node node node node" {
			t.Errorf("got records %s in the store, want %s", got, "node node node node")
		}
	})
}

// Other processes see a page's messages: a hidden page may be without a stream for long,
// and a page that is renewed at any process is not gone.
func TestWordsElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 3, func(tr *presence.Tracker) { tr.MaxSilence = time.Minute })
		token, s := all[0].Token("ann")
		source := all[0].connect(t, s, "a")
		for n := range 10 {
			step(time.Minute - 1)
			say(all[1+n%2].Tracker, token, fmt.Sprint("state=visible&n=", n+1))
			synctest.Wait()
		}
		expect(t, all, "+ann@a")
		say(all[2].Tracker, token, "state=hidden&n=11")
		source.Close()
		step(5*time.Minute - 1)
		expect(t, all, "")
		step(1)
		expect(t, all, "end "+s.Page+", -ann@a")
		source = all[0].connect(t, s, "a")
		say(all[1].Tracker, token, "state=gone&n=13")
		step(time.Second)
		expect(t, all, "+ann@a, end "+s.Page+", -ann@a")
		if source.ReadyState() != sse.Closed {
			t.Error("the stream is open after a goodbye to another process")
		}
		step(time.Minute)
		if got := strings.Join(keys(t, &store), " "); got != "node node node" {
			t.Errorf("got records %s in the store, want %s", got, "node node node")
		}
	})
}

// A process that starts later knows that a page is hidden.
func TestHiddenBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		token, s := all[0].Token("ann")
		source := all[0].connect(t, s, "a")
		say(all[1].Tracker, token, "state=hidden&n=7")
		step(time.Minute)
		late := processes(t, &store, 1, nil)[0]
		other := late.connect(t, s, "a")
		source.Close()
		all[0].Close()
		other.Close()
		say(late.Tracker, token, "state=visible&n=6")
		step(5*time.Minute - 1)
		if !late.Present(s) || !all[1].Present(s) {
			t.Error("gone before")
		}
		step(1)
		if late.Present(s) || all[1].Present(s) {
			t.Error("still present")
		}
	})
}

// Names may contain any bytes, and a session may be in 256 places.
func TestSharedNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		var places []string
		for i := range 256 {
			places = append(places, string([]byte{byte(i)})+strings.Repeat("\xff", 256-1))
		}
		s := presence.Session{User: strings.Repeat("\x00", 256), Page: strings.Repeat("\"", 256)}
		source := all[0].connect(t, s, places...)
		for _, p := range all {
			if got := p.Users(places[200]); !p.Present(s) || !slices.Equal(got, []string{s.User}) {
				t.Errorf("here are %q", got)
			}
		}
		for _, err := range []error{
			all[0].Connect(source, s, "one more"),
			all[0].Connect(source, ann, append(places, "one more")...),
			all[0].Connect(source, ann, strings.Repeat("x", 256+1)),
		} {
			if !errors.Is(err, presence.ErrInvalidPlace) {
				t.Errorf("error %v", err)
			}
		}
		for _, s := range []presence.Session{{User: s.User + "x", Page: "1"}, {User: "ann", Page: s.Page + "x"}} {
			if err := all[0].Connect(source, s); !errors.Is(err, presence.ErrInvalidToken) {
				t.Errorf("error %v", err)
			}
		}
	})
}
