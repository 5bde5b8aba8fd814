package presence_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// put posts a page's data, with words as say has them, and returns the status.
func put(tr *presence.Tracker, token, data, words string) int {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/page.js?page="+url.QueryEscape(token)+"&"+words, strings.NewReader(data))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	tr.ServeHTTP(w, r)
	return w.Code
}

// members returns the members of place a as text: "ann {"x":1}, bob".
func members(tr *presence.Tracker) string {
	var list []string
	for _, m := range tr.Members("a") {
		list = append(list, strings.TrimSpace(m.User+" "+string(m.Data)))
	}
	return strings.Join(list, ", ")
}

// A page and the program set a session's data. What is late, no JSON, too large, or from an
// absent session changes nothing.
func TestData(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := presence.Tracker{Grace: 5 * time.Second}
		token, s, source := here(t, &tr)
		absent, _ := tr.Token("bob")
		long := `"` + strings.Repeat("x", 1022) + `"`
		for _, tt := range []struct {
			token, data, words string
			status             int
			want               string
		}{
			{token, `{"x": 1}`, "", 204, `ann {"x":1}`},
			{token, `[2]`, "state=hidden&n=5", 204, `ann [2]`},
			{token, `3`, "n=4", 204, `ann [2]`},
			{token, `3`, "state=visible&n=7", 204, `ann 3`},
			{token, `4`, "n=6", 204, `ann 3`},
			{token, `5`, "n=8", 204, `ann 5`},
			{token, `6`, "state=visible&n=8", 204, `ann 5`},
			{token, `"<&"`, "", 204, `ann "\u003c\u0026"`},
			{token, long, "", 204, "ann " + long},
			{token, long + " ", "", 413, "ann " + long},
			{token, ``, "", 400, "ann " + long},
			{token, `{`, "state=visible", 400, "ann " + long},
			{token, `7`, "state=", 400, "ann " + long},
			{token, `7`, "n=x", 400, "ann " + long},
			{token + "A", `7`, "", 403, "ann " + long},
			{absent, `7`, "", 409, "ann " + long},
			{token, `null`, "", 204, "ann"},
			{token, `8`, "", 204, "ann 8"},
		} {
			if got := put(&tr, tt.token, tt.data, tt.words); got != tt.status || members(&tr) != tt.want {
				t.Errorf("%.40s, %s: got %d, %.40s; want %d, %.40s", tt.data, tt.words, got, members(&tr), tt.status, tt.want)
			}
		}
		if got := say(&tr, token, "state=visible&n=8"); got != http.StatusNoContent || members(&tr) != "ann 8" {
			t.Errorf("a message without data: got %d, %s; want 204, ann 8", got, members(&tr))
		}
		for _, tt := range []struct {
			s     presence.Session
			v     any
			valid bool
			want  string
		}{
			{s, map[string]bool{"typing": true}, true, `ann {"typing":true}`},
			{s, json.RawMessage(`{"x": [ ]}`), true, `ann {"x":[]}`},
			{s, strings.Repeat("x", 1023), false, `ann {"x":[]}`},
			{s, make(chan int), false, `ann {"x":[]}`},
			{presence.Session{User: "bob", Page: "1"}, 1, false, `ann {"x":[]}`},
			{s, nil, true, "ann"},
		} {
			if err := tr.SetData(tt.s, tt.v); (err == nil) != tt.valid || members(&tr) != tt.want {
				t.Errorf("%.40v: got error %v, %.40s; want %v, %.40s", tt.v, err, members(&tr), tt.valid, tt.want)
			}
		}
		tr.SetData(s, 9)
		source.Close()
		step(time.Second)
		tr.Connect(connect(t), s, "a")
		if got := members(&tr); got != "ann 9" {
			t.Errorf("after a reconnection within the grace: got %s, want ann 9", got)
		}
		tr.Leave(s)
		tr.Connect(connect(t), s, "a")
		if got := members(&tr); got != "ann" {
			t.Errorf("after a goodbye: got %s, want ann without data", got)
		}
	})
}

// Members are sorted, a user with two pages is there twice, and their JSON is flat.
func TestMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr presence.Tracker
		for _, s := range []presence.Session{{User: "b", Page: "1"}, {User: "a", Page: "2"}, {User: "a", Page: "1"}, {User: "c", Page: "1"}} {
			tr.Connect(connect(t), s, "room", "hall")
		}
		tr.SetData(presence.Session{User: "a", Page: "2"}, 1)
		tr.Leave(presence.Session{User: "c", Page: "1"})
		got, err := json.Marshal(tr.Members("room"))
		if want := `[{"user":"a","page":"1"},{"user":"a","page":"2","data":1},{"user":"b","page":"1"}]`; string(got) != want || err != nil {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
		if got := tr.Members("nowhere"); got != nil {
			t.Errorf("got %v in a place without members, want none", got)
		}
		step(time.Minute)
	})
}

// Data that is set at one process is known at all, also at one that the session is not at,
// and at one that starts later; it ends with the session.
func TestSharedData(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store backplane.Memory
		all := processes(t, &store, 3, nil)
		expectData := func(want string) {
			t.Helper()
			step(100 * time.Millisecond)
			for i, p := range append(all, processes(t, &store, 1, nil)...) {
				if step(100 * time.Millisecond); members(p.Tracker) != want {
					t.Errorf("process %d: got %s, want %s", i, members(p.Tracker), want)
				}
			}
		}
		token, s := all[0].Token("ann")
		source := all[0].connect(t, s, "a")
		all[0].SetData(s, 1)
		expectData("ann 1")
		put(all[1].Tracker, token, "2", "n=2")
		expectData("ann 2")
		put(all[2].Tracker, token, "1", "n=1") // late
		expectData("ann 2")
		all[2].SetData(s, 3)
		expectData("ann 3")
		all[1].connect(t, s, "a")
		source.Close()
		step(time.Minute) // the records of processes that it is not at are gone
		expectData("ann 3")
		put(all[0].Tracker, token, "null", "n=3")
		expectData("ann")
		put(all[0].Tracker, token, "4", "n=4")
		all[2].Leave(s)
		expectData("")
		all[1].connect(t, s, "a")
		expectData("ann")
	})
}

// Whatever is set, and at which process, while sessions come, move and go: in the end all
// processes have the same members with the same data.
func TestSharedDataAgrees(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			var store backplane.Memory
			all := processes(t, &store, 3, nil)
			tokens, ids, n := make([]string, 6), make([]presence.Session, 6), make([]int, 6)
			var streams []*sse.EventSource
			for i := range ids {
				tokens[i], ids[i] = all[0].Token(fmt.Sprint("user ", i))
			}
			for range 300 {
				i, p := random.IntN(len(ids)), all[random.IntN(len(all))]
				switch random.IntN(6) {
				case 0, 1:
					streams = append(streams, p.connect(t, ids[i], "a"))
				case 2:
					if len(streams) > 0 {
						streams[0].Close()
						streams = streams[1:]
					}
				case 3:
					p.SetData(ids[i], random.IntN(1000))
				case 4:
					n[i]++
					put(p.Tracker, tokens[i], fmt.Sprint(random.IntN(1000)), fmt.Sprint("n=", n[i]-random.IntN(2)))
				case 5:
					if step(time.Duration(random.IntN(3000)) * time.Millisecond); random.IntN(4) == 0 {
						p.Leave(ids[i])
					}
				}
				if random.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			step(4 * time.Second)
			late := processes(t, &store, 1, nil)
			step(time.Second)
			want := all[0].Members("a")
			for i, p := range append(all, late...) {
				if got := p.Members("a"); !reflect.DeepEqual(got, want) {
					t.Errorf("seed %d: process %d has %s, process 0 %s", seed, i, members(p.Tracker), members(all[0].Tracker))
				}
			}
		})
	}
}
