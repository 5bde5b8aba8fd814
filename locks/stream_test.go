package locks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
	"example.org/sse/ssetest"
)

// A page whose stream is the table's own gets all locks, and then the changes, as JSON. When
// it reconnects it gets all locks again, so that none that it shows is out of date.
func TestStream(t *testing.T) {
	for _, tt := range []struct {
		name  string
		open  func(http.Handler) *ssetest.Server
		http2 bool
	}{{"HTTP/1.1", ssetest.NewMemoryServer, false}, {"h2c", ssetest.NewServer, true}, {"detached", ssetest.NewServer, false}} {
		t.Run(tt.name, func(t *testing.T) {
			people := &presence.Tracker{}
			cards := &locks.Table[int]{Presence: people}
			defer cards.Close()
			server := tt.open(cards)
			server.HTTP2 = tt.http2
			defer server.Close()
			token, ann := people.Token("ann")
			page := server.Open(t, "/locks?page="+token)
			if e := page.Next(); e.Type != "locks" || e.Data != "[]" || e.ID != "" {
				t.Errorf("got %+v first, want an empty table", e)
			}
			l, err := cards.Take(t.Context(), ann, 7)
			if err != nil {
				t.Fatal(err)
			}
			var c locks.Change[int]
			if e := page.Next(); e.Type != "lock" || json.Unmarshal([]byte(e.Data), &c) != nil || c.Cause != locks.Taken || c.Holder != ann || c.Fence != l.Fence {
				t.Errorf("got %+v, want the change", e)
			}
			page.Reconnect()
			var all []locks.Lock[int]
			if e := page.Next(); e.Type != "locks" || json.Unmarshal([]byte(e.Data), &all) != nil || len(all) != 1 || all[0].Holder != ann || !all[0].Since.Equal(l.Since) {
				t.Errorf("got %+v, want the table", e)
			}
		})
	}
}

// A stream without a valid token is refused, and one of a closed table ends.
func TestStreamRefused(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		server := ssetest.NewMemoryServer(table)
		defer server.Close()
		token, _ := s.tracker.Token("ann")
		for _, query := range []string{"", "?page=" + token + "x"} {
			resp, err := server.Client().Get(server.URL + "/locks" + query)
			if err != nil || resp.StatusCode != http.StatusForbidden {
				t.Fatalf("%q: got %v, %v; want 403", query, resp, err)
			}
			resp.Body.Close()
		}
		ended := connectSession(t, s.tracker, presence.Session{User: "ann", Page: "1"})
		ended.Close()
		live := connectSession(t, s.tracker, presence.Session{User: "ann", Page: "1"})
		defer live.Close()
		got := []error{table.Add(nil), table.Add(new(sse.EventSource)), table.Add(ended), table.Add(live), table.Add(live)}
		table.Close()
		got = append(got, table.Add(live))
		for i, want := range []error{sse.ErrClosed, sse.ErrClosed, sse.ErrClosed, nil, nil, sse.ErrClosed} {
			if !errors.Is(got[i], want) {
				t.Errorf("%d: got error %v, want %v", i, got[i], want)
			}
		}
	})
}

// A newcomer waits for the table to have read the store. If that takes too long its stream
// ends, instead of beginning with an empty table.
func TestNewcomerWaits(t *testing.T) {
	memory := new(backplane.Memory)
	store := &fallibleStore{Store: memory}
	bubbleOn(t, store, func(t *testing.T, s *site, table *locks.Table[int]) {
		store.interrupt, store.resume = make(chan struct{}), make(chan struct{}) // of the bubble
		other := locks.Table[int]{Presence: s.elsewhere(t), Name: table.Name}
		other.Presence.Store = memory
		defer other.Close()
		ann := presence.Session{User: "ann", Page: "1"}
		connectSession(t, other.Presence, ann)
		if _, err := other.Take(t.Context(), ann, 7); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		early := s.open("bob")
		if err := early.stream.End(); err != nil || len(early.stream.Events()) > 0 || time.Since(begin) != 5*time.Second {
			t.Errorf("got %v, %v after %v; want a clean end after 5 s", early.stream.Events(), err, time.Since(begin))
		}
		late := s.open("carl")
		time.Sleep(time.Second) // fake
		store.resume <- struct{}{}
		if e := late.stream.Next(); e.Type != "locks" || e.Data != "7: ann\n" {
			t.Errorf("got %+v, want the table", e)
		}
	})
}

// Two tables of one name on one tracker would be one table: they are refused, each time, and
// may follow each other.
func TestOneName(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, _ *locks.Table[int]) {
		first, other := locks.Table[int]{Presence: s.tracker}, locks.Table[string]{Presence: s.tracker, Name: "other"}
		defer other.Close()
		first.Load(7)
		other.Load("7")
		second := locks.Table[int]{Presence: s.tracker}
		for range 2 {
			func() {
				defer func() {
					if r := recover(); !strings.Contains(fmt.Sprint(r), `have the Name ""`) {
						t.Errorf("got panic %v, want one about the Name", r)
					}
				}()
				second.Load(7)
			}()
		}
		first.Close()
		third := locks.Table[int]{Presence: s.tracker}
		defer third.Close()
		third.Load(7)
	})
}

// A lock, and a change, survive their JSON.
func FuzzJSON(f *testing.F) {
	f.Add("ann", "1", "a/b\n", uint64(1)<<53-1, int64(1_700_000_000_123), "stolen", "lunch", uint8(3))
	f.Add("", "", "", uint64(0), int64(0), "", "", uint8(0))
	f.Fuzz(func(t *testing.T, user, page, key string, fence uint64, since int64, cause, reason string, queue uint8) {
		type id struct{ Kind, Name string }
		for _, text := range []string{user, page, key, cause, reason} {
			if !utf8.ValidString(text) {
				t.Skip("JSON has no such text")
			}
		}
		const millennium = 1000 * 365 * 24 * 60 * 60 * 1000
		s := presence.Session{User: user, Page: page}
		c := locks.Change[id]{
			Lock:  locks.Lock[id]{Key: id{"card", key}, Holder: s, Fence: fence, Since: time.UnixMilli(since % millennium).UTC()},
			Cause: locks.Cause(cause), From: s, Reason: reason,
		}
		c.Queue = slices.Repeat([]presence.Session{s}, int(queue%4))
		if len(c.Queue) == 0 {
			c.Queue = nil
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back locks.Change[id]
		if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%s: got %+v, %v; want %+v", b, back, err, c)
		}
	})
}

// The JSON of a lock is what pages rely on.
func TestJSON(t *testing.T) {
	s := presence.Session{User: "Ann", Page: "p"}
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		v    any
		want string
	}{
		{locks.Lock[int]{Key: 7}, `{"key":7}`},
		{locks.Lock[int]{Key: 7, Holder: s, Fence: 3, Since: at, Until: at, Queue: []presence.Session{s}}, `{"key":7,"holder":{"user":"Ann","page":"p"},"fence":3,"since":"2026-01-02T15:04:05Z","until":"2026-01-02T15:04:05Z","queue":[{"user":"Ann","page":"p"}]}`},
		{locks.Change[string]{Lock: locks.Lock[string]{Key: "7"}, Cause: locks.Stolen, From: s, Reason: "r"}, `{"key":"7","cause":"stolen","from":{"user":"Ann","page":"p"},"reason":"r"}`},
	} {
		if got, err := json.Marshal(tt.v); string(got) != tt.want || err != nil {
			t.Errorf("got %s, %v; want %s", got, err, tt.want)
		}
	}
}
