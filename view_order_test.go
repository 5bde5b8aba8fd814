package sse_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

// Events that one goroutine sends to a source, through a view that is slow and
// directly, keep their order, and are sent if it closes the source, or deletes it.
func TestViewOrder(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		for _, tt := range []struct {
			name string
			end  func(*sse.Set, *sse.EventSource)
			more string
		}{
			{"Close", func(_ *sse.Set, s *sse.EventSource) { s.Close() }, ""},
			{"CloseAll", func(g *sse.Set, s *sse.EventSource) { g.CloseAll(); s.Wait() }, ""},
			{"Delete", func(g *sse.Set, s *sse.EventSource) { g.Delete(s); s.Dispatch("", "more"); s.Close() }, "more"},
		} {
			handler, sources := connected(nil)
			st := tr.serve(t, handler).open()
			source := <-sources
			var group, other sse.Set
			group.AddFunc(source, func(e sse.Event) (sse.Event, bool) {
				time.Sleep(time.Second) // fake
				return e, e.Data != "not for it"
			})
			other.Add(source)
			var want []string
			for i := range 5 {
				group.Dispatch("", "not for it")
				group.Dispatch("", strconv.Itoa(i))
				source.Dispatch("direct", strconv.Itoa(i))
				other.Dispatch("other", strconv.Itoa(i))
				for _, typ := range []string{"message", "direct", "other"} {
					want = append(want, typ+"|"+strconv.Itoa(i))
				}
			}
			tt.end(&group, source)
			group.Dispatch("", "late")
			if tt.more != "" {
				want = append(want, "message|"+tt.more)
			}
			st.want(want...)
			st.wantEnd()
			if n := group.Len(); n != 0 {
				t.Errorf("%s: %d members, want 0", tt.name, n)
			}
		}
	})
}

// A view that panics, or returns what cannot be sent, ends its own stream, and keeps
// nobody from being sent anything.
func TestViewFails(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		site := tr.serve(t, handler)
		var group sse.Set
		for _, tt := range []struct {
			name string
			view func(sse.Event) (sse.Event, bool)
			err  error
		}{
			{"panics", func(sse.Event) (sse.Event, bool) { panic("view") }, nil},
			{"invalid", func(sse.Event) (sse.Event, bool) { return sse.Event{Type: "a\nb"}, true }, sse.ErrInvalidEvent},
			{"closes its source", nil, sse.ErrClosed},
		} {
			st := site.open()
			source := <-sources
			if tt.view == nil {
				tt.view = func(e sse.Event) (sse.Event, bool) { go source.Close(); return e, false }
			}
			group.AddFunc(source, tt.view)
			good := site.open()
			group.Add(<-sources)
			synctest.Wait()
			group.Dispatch("", "x")
			good.want("message|x")
			if err := source.Wait(); err == nil || tt.err != nil && !errors.Is(err, tt.err) || errors.Is(err, sse.ErrGone) {
				t.Errorf("%s: ended with %v, want %v", tt.name, err, tt.err)
			}
			if e, err := st.next(); err == nil {
				t.Errorf("%s: got %+v", tt.name, e)
			}
			good.close()
			synctest.Wait()
		}
	})
}

// A view may use its set, and dispatch to it.
func TestViewUsesSet(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		var group sse.Set
		group.AddFunc(<-sources, func(e sse.Event) (sse.Event, bool) {
			if e.Data == "0" {
				group.Dispatch("", strconv.Itoa(group.Len()))
			}
			return e, true
		})
		group.Dispatch("", "0")
		st.want("message|0", "message|1")
	})
}

// A viewer that takes nothing is disconnected, and meanwhile only little is made for it.
func TestViewStalled(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		handler, sources := connected(&sse.AcceptOptions{Backlog: 1 << 20})
		site := tr.serve(t, handler)
		st := site.open()
		source := <-sources
		var group sse.Set
		seen := 0
		group.AddFunc(source, func(e sse.Event) (sse.Event, bool) {
			seen += len(e.Data)
			e.Data += "."
			return e, true
		})
		good := site.open()
		group.Add(<-sources)
		data := strings.Repeat("x", 10_000)
		for n := 0; source.ReadyState() == sse.Open; n++ {
			group.Dispatch("", data)
			good.want("message|" + data)
			if time.Sleep(time.Millisecond); n > 10_000 { // fake
				t.Fatal("it is still open")
			}
		}
		if err := source.Wait(); !errors.Is(err, sse.ErrSlow) {
			t.Errorf("ended with %v, want %v", err, sse.ErrSlow)
		}
		if most := 5 * socketBuffer; seen > most {
			t.Errorf("%d bytes were made for it, want at most %d", seen, most)
		}
		st.close()
	})
}

// A viewer that reads gets a replay of any size.
func TestViewReplay(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := &sse.Set{Replay: true, History: 1 << 20, HistoryBytes: -1}
		var want []string
		for i := range 100 {
			data := strings.Repeat(strconv.Itoa(i), 30_000)
			group.Dispatch("", data)
			if i%2 == 0 {
				want = append(want, data)
			}
		}
		n := -1
		site := tr.serve(t, viewing(func() *sse.Set { return group }, func(_ int, e sse.Event) (sse.Event, bool) {
			n++
			return e, n%2 == 0
		}))
		st := site.openView(0, "")
		var got []string
		for range want {
			e, err := st.next()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.data)
		}
		if !slices.Equal(got, want) {
			t.Error("got other events than were kept, or in another order")
		}
	})
}
