package sse_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"example.org/sse"
	"example.org/sse/backplane"
)

// An event of a transaction is sent by all processes when it has committed, and not before;
// that of another transaction never is.
func TestDispatchIn(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 2, func(int) *sse.Hub { return &sse.Hub{Log: log} })
		streams := []*stream{list[0].openURL(at("a")), list[1].openURL(at("a"))}
		synctest.Wait()
		set := list[0].hub.Set("a")
		put := func(tx *backplane.MemoryTx, key, data string) {
			t.Helper()
			if err := set.DispatchIn(t.Context(), tx, key, sse.Event{Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		committed, dropped, later := log.Begin(), log.Begin(), log.Begin()
		put(committed, "", "1")
		put(dropped, "key", "never")
		put(later, "key", "3")
		put(later, "key", "a second time")
		put(committed, "", "2")
		committed.Commit()
		later.Commit()
		set.DispatchOnce(t.Context(), "key", sse.Event{Data: "a third time"})
		set.Dispatch("", "end")
		for _, st := range streams {
			st.want("message|1", "message|2", "message|3", "message|end")
		}
	})
}

func TestDispatchInRefuses(t *testing.T) {
	log := new(backplane.Memory)
	hub, closed := &sse.Hub{Log: log}, &sse.Hub{Log: log}
	defer hub.Close()
	closed.Close()
	other := new(backplane.Memory)
	var alone sse.Set
	errAny := errors.New("any")
	for _, tt := range []struct {
		name string
		set  *sse.Set
		log  *backplane.Memory
		e    sse.Event
		want error
	}{
		{"no hub", &alone, log, sse.Event{}, errAny},
		{"no log", new(sse.Hub).Set("a"), log, sse.Event{}, errAny},
		{"another log", hub.Set("a"), other, sse.Event{}, errAny},
		{"invalid", hub.Set("a"), log, sse.Event{Type: "\n"}, sse.ErrInvalidEvent},
		{"too large", hub.Set("a"), log, sse.Event{Data: strings.Repeat("x", 256<<10)}, sse.ErrTooLarge},
		{"closed", closed.Set("a"), log, sse.Event{}, sse.ErrClosed},
	} {
		tx := tt.log.Begin()
		err := tt.set.DispatchIn(t.Context(), tx, "", tt.e)
		if tt.want == errAny && err == nil || tt.want != errAny && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		tx.Commit()
	}
	if c := hub.Cursor(); c != (backplane.Cursor{}) {
		t.Errorf("got cursor %v, want an empty log", c)
	}
	if err := hub.Set("a").DispatchIn(t.Context(), ended(log), "", sse.Event{}); err == nil {
		t.Error("a transaction that has ended: got no error")
	}
}

// ended returns a transaction that has been committed.
func ended(m *backplane.Memory) *backplane.MemoryTx {
	tx := m.Begin()
	tx.Commit()
	return tx
}
