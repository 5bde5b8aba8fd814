package eventlog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/wire"
)

// add appends an event with that data, whose first byte is its key.
func add(topic *eventlog.Topic, data string) {
	topic.Append(eventlog.Event{Encoded: wire.Event{Data: data}.Encode(eventlog.Headroom), Key: data[:1]})
}

// parse returns an event's id and data.
func parse(c wire.Chunk) (id, data string) {
	for line := range strings.Lines(string(c.Block())) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			data = value
		}
	}
	return id, data
}

// place returns a reader of each topic, placed after an id.
func place(t *testing.T, l *eventlog.Log, id string, topics ...*eventlog.Topic) (readers []*eventlog.Reader, resumed bool) {
	t.Helper()
	for _, topic := range topics {
		r := new(eventlog.Reader)
		r.Open(topic)
		readers = append(readers, r)
	}
	p, ok := l.Place(topics, readers, id)
	if !ok {
		t.Fatal("the log is not live")
	}
	for i, r := range readers {
		r.Set(p.Places[i])
	}
	return readers, p.Resumed
}

// Whatever is appended to several topics, and kept: a reader that resumes gets
// exactly what followed, in order, and one that cannot does not resume.
func TestResume(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		keep := 1 + rng.IntN(20)
		l := eventlog.New(eventlog.Options{Events: keep, Many: true})
		topics := make([]*eventlog.Topic, 3)
		for i := range topics {
			topics[i] = new(eventlog.Topic)
			topics[i].Open(l)
		}
		follower, _ := place(t, l, "", topics...)
		type sent struct {
			topic    int
			id, data string
		}
		var all []sent
		for n := range 60 {
			i := rng.IntN(len(topics) + 2)
			i = min(i, len(topics)-1) // the last topic is the busiest
			add(topics[i], fmt.Sprint(n))
			items := follower[i].Take(nil, eventlog.LastStamp())
			if len(items) != 1 {
				t.Fatalf("seed %d: %d items after one event", seed, len(items))
			}
			id, data := parse(items[0].Chunk)
			all = append(all, sent{i, id, data})
		}
		for from := range all {
			joined := topics[:1+rng.IntN(len(topics))]
			readers, resumed := place(t, l, all[from].id, joined...)
			var want, got []string
			complete := true
			for n, s := range all[from+1:] {
				if s.topic < len(joined) {
					want = append(want, s.data)
					complete = complete && from+1+n >= len(all)-keep
				}
			}
			if resumed != complete {
				t.Fatalf("seed %d, after event %d of %d, %d kept: resumed %v, want %v", seed, from, len(all), keep, resumed, complete)
			}
			if !resumed {
				want = nil
			}
			var items []eventlog.Item
			for _, r := range readers {
				items = r.Take(items, eventlog.LastStamp())
			}
			slices.SortStableFunc(items, eventlog.ByStamp)
			for _, it := range items {
				_, data := parse(it.Chunk)
				got = append(got, data)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, after event %d: got %v, want %v", seed, from, got, want)
			}
		}
	}
}

// The bytes that wait are those that Take returns, less a replay's.
func TestWaiting(t *testing.T) {
	l := eventlog.New(eventlog.Options{})
	topic := new(eventlog.Topic)
	topic.Open(l)
	readers, _ := place(t, l, "", topic)
	for i := range 5 {
		add(topic, fmt.Sprint(i))
	}
	bytes, next := readers[0].Waiting()
	items := readers[0].Take(nil, eventlog.LastStamp())
	var want int64
	for _, it := range items {
		want += int64(len(it.Chunk))
	}
	if bytes != want || next != int64(len(items[0].Chunk)) {
		t.Errorf("%d bytes wait, the next event has %d; want %d and %d", bytes, next, want, len(items[0].Chunk))
	}
	id, _ := parse(items[0].Chunk)
	again, resumed := place(t, l, id, topic)
	if bytes, _ := again[0].Waiting(); !resumed || bytes != 0 || !again[0].Pending() {
		t.Errorf("resumed %v, %d bytes count, pending %v; want a replay that does not count", resumed, bytes, again[0].Pending())
	}
	again[0].Release()
	if again[0].Pending() {
		t.Error("an event waits for a reader that was released")
	}
}

// A history's age ends without another event, and so does its timer.
func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(eventlog.Options{Age: time.Minute})
		topic := new(eventlog.Topic)
		topic.Open(l)
		readers, _ := place(t, l, "", topic)
		var ids []string
		for i := range 3 {
			add(topic, fmt.Sprint(i))
			id, _ := parse(readers[0].Take(nil, eventlog.LastStamp())[0].Chunk)
			ids = append(ids, id)
			time.Sleep(20 * time.Second) // fake
		}
		for i, want := range []bool{true, true, true} {
			if _, resumed := place(t, l, ids[i], topic); resumed != want {
				t.Errorf("after 60 s, from event %d: resumed %v, want %v", i, resumed, want)
			}
		}
		time.Sleep(30 * time.Second) // fake: the second event is forgotten as well
		for i, want := range []bool{false, true, true} {
			if _, resumed := place(t, l, ids[i], topic); resumed != want {
				t.Errorf("after 90 s, from event %d: resumed %v, want %v", i, resumed, want)
			}
		}
	})
}

// A topic keeps the latest event of each key for a reader that asks for that.
func TestLatest(t *testing.T) {
	l := eventlog.New(eventlog.Options{})
	topic := new(eventlog.Topic)
	topic.Open(l)
	readers, _ := place(t, l, "", topic)
	for _, data := range []string{"a1", "b1", "a2", "c1", "b2"} {
		add(topic, data)
	}
	var got []string
	for _, it := range readers[0].TakeLatest(nil, eventlog.LastStamp()) {
		_, data := parse(it.Chunk)
		got = append(got, data)
	}
	if want := []string{"a2", "c1", "b2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
