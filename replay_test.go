package sse_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// A generation dispatches the words of a text, and then that it has ended.
func generate(words int, dispatch func(typ, data string)) (text string) {
	for i := range words {
		word := strconv.Itoa(i) + strings.Repeat(".", rand.IntN(20)) + " "
		text += word
		dispatch("", word)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // fake
	}
	dispatch("end", "")
	return text
}

// A reader is a page that shows the text. It joins at a random time. One that
// reloads loses its connection several times: half of these are reloads of the page,
// and in the others the browser comes back with the id of the last event.
func readText(open func(id string) *stream, reloads bool) (text string, err error) {
	time.Sleep(time.Duration(rand.IntN(6000)) * time.Millisecond) // fake
	for id := ""; ; {
		st := open(id)
		for n := 1 + rand.IntN(100); n > 0 || !reloads; n-- {
			e, err := st.next()
			if err != nil {
				return text, err
			}
			id = e.id
			switch e.typ {
			case "message":
				text += e.data
			case "gap":
				text = ""
			case "end":
				st.close()
				return text, nil
			}
		}
		st.close()
		if reloads = rand.IntN(8) > 0; rand.IntN(2) > 0 {
			id, text = "", ""
		}
	}
}

// readAll has 60 readers read the text, half of which reload.
func readAll(t *testing.T, open func(reader int, id string) *stream, dispatch func(typ, data string)) {
	t.Helper()
	const readers = 60
	var reading sync.WaitGroup
	texts, errs := make([]string, readers), make([]error, readers)
	for i := range readers {
		reading.Go(func() {
			texts[i], errs[i] = readText(func(id string) *stream { return open(i, id) }, i%2 > 0)
		})
	}
	want := generate(500, dispatch)
	reading.Wait()
	for i, got := range texts {
		if got != want || errs[i] != nil {
			t.Errorf("reader %d: got %d bytes %.80q, error %v; want %d bytes", i, len(got), got, errs[i], len(want))
		}
	}
}

// Sixty readers join a running generation at random times, and half of them reload:
// each has the exact text, with its end.
func TestReplay(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := &sse.Set{Replay: true}
		site := tr.serve(t, group)
		readAll(t, func(_ int, id string) *stream { return site.open("Last-Event-ID", id) },
			func(typ, data string) { group.Dispatch(typ, data) })
	})
}

// The same with three processes, whose readers return to any of them.
func TestReplayShared(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := new(backplane.Memory)
		list := nodes(t, tr, 3, func(int) *sse.Hub {
			return &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) { s.Replay = true }}
		})
		readAll(t, func(_ int, id string) *stream {
			return list[rand.IntN(3)].openURL(at("a"), "Last-Event-ID", id)
		}, func(typ, data string) { list[rand.IntN(3)].hub.Set("a").Dispatch(typ, data) })
	})
}

// What a client is sent first by a set of which 5 events are kept.
func TestReplayBegins(t *testing.T) {
	snapshot := func(*sse.EventSource) ([]sse.Event, error) { return state("state", "") }
	for _, tt := range []struct {
		name     string
		events   int
		snapshot func(*sse.EventSource) ([]sse.Event, error)
		id       string
		want     string
	}{
		{"nothing yet", 0, nil, "", "live"},
		{"nothing yet, with a snapshot", 0, snapshot, "", "state live"},
		{"all is kept", 3, nil, "", "0 1 2 live"},
		{"all is kept, with a snapshot", 3, snapshot, "", "0 1 2 live"},
		{"all is kept, to a client of another process", 3, nil, "elsewhere-1", "gap 0 1 2 live"},
		{"all is kept, to one with a snapshot", 3, snapshot, "elsewhere-1", "gap 0 1 2 live"},
		{"the beginning is lost", 7, nil, "", "gap 2 3 4 5 6 live"},
		{"the beginning is lost, with a snapshot", 7, snapshot, "", "state live"},
		{"the beginning is lost, to a client of another process", 7, nil, "elsewhere-1", "gap 2 3 4 5 6 live"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				group := &sse.Set{Replay: true, History: 5, Snapshot: tt.snapshot}
				for i := range tt.events {
					group.Dispatch("", strconv.Itoa(i))
				}
				st := tr.serve(t, group).open("Last-Event-ID", tt.id)
				synctest.Wait()
				group.Dispatch("", "live")
				if got := untilLive(t, st); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// untilLive reads to the event "live": the data of messages, the type of others.
func untilLive(t *testing.T, st *stream) string {
	t.Helper()
	var got []string
	for {
		e, err := st.next()
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		if e.typ == "message" {
			e.typ = e.data
		}
		got = append(got, e.typ)
		if e.typ == "live" {
			return strings.Join(got, " ")
		}
	}
}

// A source that joins a set that replays and one with a snapshot, which takes its
// time, gets the snapshot first. An id from within the replay resumes both.
func TestReplayBesideSnapshot(t *testing.T) {
	for _, log := range []func() backplane.Log{
		func() backplane.Log { return nil },
		func() backplane.Log { return new(backplane.Memory) },
	} {
		shared := log() != nil
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				hub := &sse.Hub{Log: log(), NewSet: func(name string, s *sse.Set) {
					if s.Replay = name == "text"; !s.Replay {
						s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
							time.Sleep(time.Second) // fake
							return state("state", "")
						}
					}
				}}
				defer hub.Close()
				site := tr.serve(t, rooms(hub))
				hub.Set("text").Dispatch("", "0")
				hub.Set("text").Dispatch("", "1")
				st := site.openURL(at("text", "board"))
				synctest.Wait()
				hub.Set("board").Dispatch("", "2")
				time.Sleep(2 * time.Second) // fake: the snapshot has been made
				hub.Set("text").Dispatch("", "live")
				want := "state 0 1 2 live"
				if shared {
					want = "state 0 1 last-event-id 2 live"
				}
				if got := untilLive(t, st); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				again := site.openURL(at("text", "board"))
				again.want("state|")
				first, err := again.next()
				if err != nil || first.data != "0" {
					t.Fatalf("got %+v, error %v; want 0", first, err)
				}
				if got := untilLive(t, site.openURL(at("text", "board"), "Last-Event-ID", first.id)); got != "1 2 live" {
					t.Errorf("resumed from within the replay: got %q, want %q", got, "1 2 live")
				}
			})
		})
	}
}

// After a gap in the log, a page that shows a text is told to drop what it has, and gets
// what the log has kept.
func TestReplayGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) { s.Replay = true }}
		defer hub.Close()
		site := tr.serve(t, rooms(hub))
		hub.Set("a").Dispatch("", "0")
		st := site.openURL(at("a"))
		synctest.Wait()
		log.lose <- true
		time.Sleep(10 * time.Second) // fake: the log is followed again
		hub.Set("a").Dispatch("", "1")
		late := site.openURL(at("a"))
		synctest.Wait()
		hub.Set("a").Dispatch("", "live")
		for i, st := range []*stream{st, late} {
			got := strings.ReplaceAll(untilLive(t, st), "last-event-id ", "")
			if want := []string{"0 gap 0 1 live", "gap 0 1 live"}[i]; got != want {
				t.Errorf("stream %d: got %q, want %q", i, got, want)
			}
		}
	})
}
