package presence_test

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/internal/sessions"
	"example.org/sse/presence"
)

// connect returns a stream that no client reads.
func connect(t testing.TB) *sse.EventSource {
	t.Helper()
	source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/events", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// exampleStream returns a stream of a page that was rendered for a user.
func exampleStream(tr *presence.Tracker, user string) (*sse.EventSource, presence.Session) {
	token, s := tr.Token(user)
	source, _ := sse.Accept(httptest.NewRecorder(), request(token), nil)
	return source, s
}

// leased reports whether other processes regard a tracker's sessions as present.
func leased(tr *presence.Tracker) bool {
	var a sessions.Access[presence.Session]
	tr.Access(&a)
	return a.Leased()
}

// bubble runs a test in fake time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// step lets fake time pass, and waits until all goroutines are idle.
func step(d time.Duration) {
	time.Sleep(d) // fake
	synctest.Wait()
}

// A recorder records what a tracker reports.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func record(tr *presence.Tracker) *recorder {
	r := new(recorder)
	tr.Changed = func(c presence.Change) {
		sign := "-"
		if c.Joined {
			sign = "+"
		}
		r.add(sign + c.User + "@" + c.Place)
	}
	tr.OnLeave(func(s presence.Session) { r.add("end " + s.Page) })
	return r
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, s)
}

// all returns what was reported since the last call.
func (r *recorder) all() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

func (r *recorder) reported() string { return strings.Join(r.all(), ", ") }

func TestGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := presence.Tracker{Grace: 5 * time.Second}
		reported := record(&tr).reported
		expect := func(want string) {
			t.Helper()
			if got := reported(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		ann := presence.Session{User: "ann", Page: "1"}
		first := connect(t)
		tr.Connect(first, ann, "a", "b", "a")
		expect("+ann@a, +ann@b")
		second := connect(t)
		tr.Connect(second, ann, "b", "c")
		other := connect(t)
		tr.Connect(other, presence.Session{User: "ann", Page: "2"}, "c")
		expect("+ann@c")
		first.Close()
		step(4 * time.Second)
		expect("")
		step(time.Second)
		expect("-ann@a")
		second.Close()
		step(4 * time.Second)
		third := connect(t)
		tr.Connect(third, ann, "b")
		step(time.Second)
		expect("")
		third.Close()
		step(5 * time.Second)
		expect("end 1, -ann@b")
		if got := tr.Users("c"); !reflect.DeepEqual(got, []string{"ann"}) || tr.Users("b") != nil || tr.Present(ann) {
			t.Errorf("here are %q", got)
		}
		other.Close()
		if err := tr.Connect(other, ann, "b"); !errors.Is(err, sse.ErrClosed) {
			t.Errorf("a closed source: %v", err)
		}
		step(5 * time.Second)
		expect("end 2, -ann@c")
	})
}

// A goodbye ends the session at once, and its streams, though browsers keep them.
func TestLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr presence.Tracker
		reported := record(&tr).reported
		ann := presence.Session{User: "ann", Page: "1"}
		source := connect(t)
		tr.Connect(source, ann, "a")
		tr.Leave(ann)
		tr.Leave(ann)
		if got := reported(); got != "+ann@a, end 1" || tr.Present(ann) || source.ReadyState() != sse.Closed {
			t.Errorf("got %q, the stream is in state %d", got, source.ReadyState())
		}
		back := connect(t)
		tr.Connect(back, ann, "a")
		step(time.Hour)
		if got := reported(); got != "" || !tr.Present(ann) {
			t.Errorf("back again: got %q, want nothing", got)
		}
		tr.Leave(ann)
		step(time.Second - 1)
		if got := tr.Users("a"); len(got) != 1 {
			t.Errorf("a moment after the goodbye: got users %q, want 1", got)
		}
		step(1)
		if got := reported(); got != "end 1, -ann@a" {
			t.Errorf("at the end: got %q", got)
		}
	})
}

// By default a page may be away for longer than any browser takes to reconnect.
func TestDefaultGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr presence.Tracker
		_, s, source := here(t, &tr)
		source.Close()
		step(8*time.Second - 1)
		if !tr.Present(s) {
			t.Error("gone before")
		}
		step(1)
		if tr.Present(s) {
			t.Error("still present")
		}
	})
}
