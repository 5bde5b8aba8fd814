package presence_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
	"example.org/sse/ssetest"
)

// serve serves streams that make sessions present.
func (p *process) serve(t *testing.T) *ssetest.Server {
	server := ssetest.NewMemoryServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := p.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) { p.Connect(source, s, "room") })
	}))
	t.Cleanup(server.Close)
	return server
}

// Processes are replaced one after the other, and die: a session whose page is open is
// never gone, although each server closes its streams, and one whose page does not
// reconnect is.
func TestDeploy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 3, nil)
		token, _ := all[0].Token("ann")
		server := all[0].serve(t)
		stream := server.Open(t, "/?page="+token)
		bobs, _ := all[0].Token("bob")
		other := server.Open(t, "/?page="+bobs)
		synctest.Wait()
		expect(t, all, "+ann@room, +bob@room")
		for round := range 6 {
			old := all[0]
			if round%2 == 0 {
				server.Close()
				begin := time.Now()
				if err := old.Close(); err != nil || time.Since(begin) > 0 {
					t.Fatalf("Close: %v, after %v", err, time.Since(begin))
				}
			} else {
				old.wire.cut()
			}
			step(4 * time.Second)
			old.reported()
			all = all[1:]
			expect(t, all, "")
			server = all[0].serve(t)
			stream.Close()
			stream = server.Open(t, "/?page="+token)
			step(time.Minute)
			want := ""
			if round == 0 {
				want = "-bob@room"
			}
			for i, p := range all {
				got := p.all()
				got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "end ") && round == 0 })
				if strings.Join(got, ", ") != want {
					t.Errorf("round %d: process %d reported %q, want %q", round, i, got, want)
				}
			}
			if round%2 == 0 {
				if err := old.Connect(connect(t), ann); !errors.Is(err, sse.ErrClosed) || leased(old.Tracker) || len(old.Users("room")) == 0 {
					t.Errorf("a closed tracker: %v, leased %v, with %q", err, leased(old.Tracker), old.Users("room"))
				}
				if got := old.reported(); got != "" {
					t.Errorf("a closed tracker reported %q, want nothing", got)
				}
			}
			all = append(all, processes(t, &store, 1, nil)...)
			expect(t, all[2:], "+ann@room")
		}
		stream.Close()
		other.Close()
		step(time.Minute)
		if got := strings.Join(keys(t, &store), " "); got != "node node node" {
			t.Errorf("got records %s in the store, want %s", got, "node node node")
		}
	})
}

// What a passed grace or a goodbye has ended is written before Close returns, although
// the store is slow.
func TestCloseTells(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, nil)
		all[0].connect(t, ann, "a")
		all[0].connect(t, bob, "a")
		all[0].wire.fail(func(string) (before, after error) {
			time.Sleep(100 * time.Millisecond) // fake
			return nil, nil
		}, 0)
		all[0].Leave(ann)
		if err := all[0].Close(); err != nil {
			t.Error(err)
		}
		expect(t, all, "+ann@a, +bob@a, end 1")
		step(5 * time.Second)
		expect(t, all, "", "-ann@a")
		step(3 * time.Second)
		expect(t, all, "", "end 2, -bob@a")
		if err := all[0].Close(); err != nil {
			t.Error(err)
		}
		// One that was never used has nothing to do.
		if err := (&presence.Tracker{Key: []byte("one"), Store: all[0].wire}).Close(); err != nil {
			t.Error(err)
		}
		if err := new(presence.Tracker).Close(); err != nil {
			t.Error(err)
		}
	})
}

// Without a grace, the sessions at a process that closes end with it.
func TestCloseWithoutGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 2, func(tr *presence.Tracker) { tr.Grace = -1 })
		all[0].connect(t, ann, "a")
		all[0].Close()
		step(1500 * time.Millisecond)
		expect(t, all, "+ann@a", "+ann@a, end 1, -ann@a")
	})
}
