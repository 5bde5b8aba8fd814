package presence_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
	"example.org/sse/ssetest"
)

// watching serves streams that make sessions present in the place "a", and show who is
// there.
func watching(t *testing.T, tr *presence.Tracker) *ssetest.Server {
	server := ssetest.NewMemoryServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := tr.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			tr.Connect(source, s, "a")
			if err := tr.Watch(source, "a"); err != nil {
				t.Error(err)
			}
		})
	}))
	t.Cleanup(server.Close)
	return server
}

// A stream gets a place's members when it begins and whenever they change, and of many
// changes at one time only the outcome. Changes at other processes count.
func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, func(tr *presence.Tracker) {
			tr.MembersEvent = func(place string, members []presence.Member) sse.Event {
				text := place + ":"
				for _, m := range members {
					text += " " + m.User + string(m.Data)
				}
				return sse.Event{Type: "people", Data: text}
			}
		})
		token, eve := all[0].Token("eve")
		stream := watching(t, all[0].Tracker).Open(t, "/?page="+token)
		next := func(want string) {
			t.Helper()
			if e := stream.Next(); e.Type != "people" || e.Data != want {
				t.Errorf("got %+v, want %s", e, want)
			}
		}
		next("a: eve")
		all[1].connect(t, ann, "a")
		next("a: ann eve")
		step(time.Second)
		for i := range 1000 {
			all[i%2].SetData(ann, i)
			all[i%2].SetData(eve, i)
		}
		next("a: ann999 eve999")
		all[1].connect(t, bob, "b") // elsewhere
		all[1].SetData(bob, 1)
		all[1].Leave(ann)
		next("a: eve999")
		step(time.Minute)
		if got := len(stream.Events()); got != 4 {
			t.Errorf("got %d events, want 4: %v", got, stream.Events())
		}
	})
}

// By default a place's members are JSON, and an empty place has an empty list.
func TestWatchJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr presence.Tracker
		server := ssetest.NewMemoryServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, nil, func(source *sse.EventSource) { tr.Watch(source, "a") })
		}))
		defer server.Close()
		stream := server.Open(t, "/")
		synctest.Wait()
		tr.Connect(connect(t), ann, "a")
		tr.SetData(ann, "<b>")
		for _, want := range []string{
			`{"place":"a","members":[]}`,
			`{"place":"a","members":[{"user":"ann","page":"1","data":"\u003cb\u003e"}]}`,
		} {
			if e := stream.Next(); e.Type != "presence" || e.Data != want || e.ID != "" {
				t.Errorf("got %+v, want %s", e, want)
			}
		}
	})
}

// What cannot be watched is an error. A stream may watch several places, and a place twice,
// which is once; a closed tracker sends nothing more.
func TestWatchRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr presence.Tracker
		var mu sync.Mutex
		sent := make(map[string]int)
		tr.MembersEvent = func(place string, _ []presence.Member) sse.Event {
			mu.Lock()
			defer mu.Unlock()
			sent[place]++
			return sse.Event{Data: place}
		}
		live, ended := connect(t), connect(t)
		ended.Close()
		for i, tt := range []struct {
			source *sse.EventSource
			place  string
			want   error
		}{
			{live, "a", nil},
			{live, "a", nil},
			{live, "b", nil},
			{live, strings.Repeat("x", 256), nil},
			{live, strings.Repeat("x", 257), presence.ErrInvalidPlace},
			{ended, "a", sse.ErrClosed},
			{nil, "a", sse.ErrClosed},
			{new(sse.EventSource), "a", sse.ErrClosed},
		} {
			if err := tr.Watch(tt.source, tt.place); !errors.Is(err, tt.want) {
				t.Errorf("%d: got error %v, want %v", i, err, tt.want)
			}
		}
		tr.Connect(connect(t), ann, "a", "b")
		step(time.Second)
		live.Close()
		step(time.Second)
		tr.Connect(connect(t), bob, "a", "b")
		step(time.Second)
		if got := fmt.Sprint(sent["a"], sent["b"]); got != "2 2" {
			t.Errorf("got %s events for two places, want 2 2: one for the newcomer, and one for the change", got)
		}
		last := connect(t)
		tr.Watch(last, "a")
		tr.Leave(ann)
		tr.Close()
		step(time.Second)
		if err := tr.Watch(connect(t), "a"); !errors.Is(err, sse.ErrClosed) || sent["a"] != 3 {
			t.Errorf("a closed tracker: got error %v, %d events; want %v, 3", err, sent["a"], sse.ErrClosed)
		}
	})
}
