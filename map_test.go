package sse_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"example.org/sse"
)

func TestMapMembership(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		var users sse.Map[string]
		var all []*sse.EventSource
		for range 4 {
			site.open()
			all = append(all, <-sources)
		}
		ended := all[3]
		ended.Close()
		for _, tt := range []struct {
			what  string
			call  func() bool
			want  bool
			value string // of all[0] afterwards
			size  int
		}{
			{"Delete in an empty map", func() bool { return users.Delete(all[0]) }, false, "", 0},
			{"Store nil", func() bool { return users.Store(nil, "x") }, false, "", 0},
			{"Store an ended one", func() bool { return users.Store(ended, "x") }, false, "", 0},
			{"Store", func() bool { return users.Store(all[0], "a") }, true, "a", 1},
			{"Store, to replace", func() bool { return users.Store(all[0], "b") }, true, "b", 1},
			{"Store another", func() bool { return users.Store(all[1], "c") }, true, "b", 2},
			{"Delete", func() bool { return users.Delete(all[0]) }, true, "", 1},
			{"Delete again", func() bool { return users.Delete(all[0]) }, false, "", 1},
			{"Store again", func() bool { return users.Store(all[0], "d") }, true, "d", 2},
			{"Store the last", func() bool { return users.Store(all[2], "e") }, true, "d", 3},
		} {
			got := tt.call()
			if value, ok := users.Load(all[0]); got != tt.want || value != tt.value || ok != (tt.value != "") || users.Len() != tt.size {
				t.Errorf("%s: %v, then %q, %v of %d; want %v, %q of %d", tt.what, got, value, ok, users.Len(), tt.want, tt.value, tt.size)
			}
		}
		for _, s := range []*sse.EventSource{nil, ended} {
			if value, ok := users.Load(s); ok || value != "" {
				t.Errorf("Load: %q, %v", value, ok)
			}
		}
		want := map[*sse.EventSource]string{all[0]: "d", all[1]: "c", all[2]: "e"}
		if got := maps.Collect(users.All()); !maps.Equal(got, want) {
			t.Errorf("All: %v, want %v", got, want)
		}
		seen := 0
		for s, value := range users.All() { // deleting, replacing and closing in the loop
			if value != want[s] {
				t.Errorf("All: %q, want %q", value, want[s])
			}
			switch seen++; seen {
			case 1:
				users.Delete(s)
				for other := range users.All() {
					want[other] = "new"
					users.Store(other, "new")
				}
			case 2:
				s.Close()
			}
		}
		if seen != 3 || users.Len() != 1 {
			t.Errorf("saw %d sources, %d are left", seen, users.Len())
		}
		for range users.All() {
			users.Store(all[0], "again")
			users.Store(all[1], "again")
			users.Store(all[2], "again")
			break
		}
		if users.Len() != 2 {
			t.Errorf("%d sources, want 2", users.Len())
		}
	})
}

// A nil value is a value.
func TestMapNilValue(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		var users sse.Map[error]
		if !users.Store(source, nil) {
			t.Error("not stored")
		}
		if value, ok := users.Load(source); value != nil || !ok {
			t.Errorf("Load: %v, %v", value, ok)
		}
		n, err := users.DispatchFunc(func(_ *sse.EventSource, value error) (sse.Event, bool) {
			return sse.Event{Data: "x"}, value == nil
		})
		if n != 1 || err != nil {
			t.Errorf("DispatchFunc: %d, %v", n, err)
		}
		st.want("message|x")
	})
}

// A source that ends leaves the map at once, whoever ended it.
func TestMapLeave(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 10_000})
		site := tr.serve(t, handler)
		shutdown := func(*stream, *sse.EventSource) {
			if err := site.shutdown(); err != nil {
				t.Error(err)
			}
		}
		for _, tt := range []struct {
			how string
			end func(*stream, *sse.EventSource)
			err error
		}{
			{"the client leaves", func(st *stream, _ *sse.EventSource) { st.close(); synctest.Wait() }, sse.ErrGone},
			{"Close", func(_ *stream, s *sse.EventSource) { s.Close() }, sse.ErrClosed},
			{"stalled", func(_ *stream, s *sse.EventSource) { s.Dispatch("", strings.Repeat("x", 20<<20)); s.Wait() }, sse.ErrSlow},
			{"shutdown", shutdown, sse.ErrShutdown},
		} {
			var users sse.Map[int]
			st := site.open()
			source := <-sources
			users.Store(source, 1)
			tt.end(st, source)
			value, ok := users.Load(source)
			n, err := users.Dispatch("", "x")
			m, err2 := users.DispatchFunc(func(*sse.EventSource, int) (sse.Event, bool) { return sse.Event{}, true })
			if users.Len() != 0 || value != 0 || ok || n != 0 || m != 0 || err != nil || err2 != nil || users.Store(source, 2) {
				t.Errorf("%s: still a member, value %d, sent %d and %d, %v, %v", tt.how, value, n, m, err, err2)
			}
			if err := source.Wait(); !errors.Is(err, tt.err) {
				t.Errorf("%s: ended with %v", tt.how, err)
			}
		}
	})
}

// Events are counted, have no ids but the program's own, and are not kept.
func TestMapDispatch(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		var users sse.Map[int]
		if n, err := users.Dispatch("", "x"); n != 0 || err != nil {
			t.Errorf("Dispatch to nobody: %d, %v", n, err)
		}
		var streams []*stream
		for i := range 3 {
			streams = append(streams, site.open())
			users.Store(<-sources, i)
			if n, err := users.Dispatch("n", "x"); n != i+1 || err != nil {
				t.Errorf("Dispatch: %d, %v; want %d", n, err, i+1)
			}
		}
		if n, err := users.DispatchEvent(sse.Event{Data: "y", ID: "own"}); n != 3 || err != nil {
			t.Errorf("DispatchEvent: %d, %v", n, err)
		}
		if n, err := users.DispatchEvent(sse.Event{Type: "\n"}); n != 0 || !errors.Is(err, sse.ErrInvalidEvent) {
			t.Errorf("DispatchEvent: %d, %v", n, err)
		}
		view := func(_ *sse.EventSource, i int) (sse.Event, bool) {
			return sse.Event{Type: "view", ID: strings.Repeat("v", i)}, true
		}
		if n, err := users.DispatchFunc(view); n != 3 || err != nil {
			t.Errorf("DispatchFunc: %d, %v", n, err)
		}
		for i, st := range streams {
			for range 3 - i {
				if e, err := st.next(); err != nil || e != (message{"n", "x", ""}) {
					t.Errorf("got %q, error %v", e, err)
				}
			}
			for _, want := range []message{{"message", "y", "own"}, {"view", "", strings.Repeat("v", i)}} {
				if want.id == "" {
					want.id = "own" // the last one holds on
				}
				if e, err := st.next(); err != nil || e != want {
					t.Errorf("got %q, error %v; want %q", e, err, want)
				}
			}
		}
		back := site.open("Last-Event-ID", "own")
		users.Store(<-sources, 9)
		users.Dispatch("", "z")
		back.want("message|z")
		users.CloseAll()
		back.wantEnd()
	})
}

// Each viewer gets its own view, or none, or an error for the program alone.
func TestMapDispatchFunc(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		var users sse.Map[string]
		streams := make(map[string]*stream)
		all := make(map[string]*sse.EventSource)
		for _, name := range []string{"ann", "ben", "bad\n", "none", "worse\r", "zoe"} {
			streams[name] = site.open()
			all[name] = <-sources
			users.Store(all[name], name)
		}
		n, err := users.DispatchFunc(func(s *sse.EventSource, name string) (sse.Event, bool) {
			if s != all[name] {
				t.Errorf("not the source of %q", name)
			}
			return sse.Event{Type: name, Data: "for\n" + name}, name != "none"
		})
		if n != 3 || !errors.Is(err, sse.ErrInvalidEvent) || strings.Count(err.Error(), sse.ErrInvalidEvent.Error()) != 2 {
			t.Errorf("DispatchFunc: %d, %v", n, err)
		}
		users.CloseAll()
		for name, st := range streams {
			if len(name) == 3 {
				st.want(name + "|for\n" + name)
			}
			st.wantEnd()
		}
		for name, s := range all {
			if err := s.Wait(); !errors.Is(err, sse.ErrClosed) || users.Store(s, name) {
				t.Errorf("%s: after CloseAll: %v", name, err)
			}
		}
	})
}

// An event of any size can be given to a source for which nothing waits.
func TestMapLargeEvent(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 1 << 10})
		st := tr.serve(t, handler).open()
		var m sse.Map[int]
		m.Store(<-sources, 1)
		large := strings.Repeat("x", 100<<10)
		n, err := m.DispatchFunc(func(*sse.EventSource, int) (sse.Event, bool) { return sse.Event{Data: large}, true })
		if n != 1 || err != nil {
			t.Errorf("got %d sources, error %v; want 1", n, err)
		}
		st.want("message|" + large)
	})
}
