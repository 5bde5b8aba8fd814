package presence_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
)

func TestScript(t *testing.T) {
	var tr presence.Tracker
	w := httptest.NewRecorder()
	tr.ServeHTTP(w, httptest.NewRequest("GET", "/page.js", nil))
	tag := w.Header().Get("ETag")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "pagehide") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") || tag == "" {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	for _, tt := range []struct {
		method, match string
		status        int
	}{{"GET", tag, 304}, {"GET", `"another"`, 200}, {"HEAD", "", 200}, {"PUT", "", 405}, {"OPTIONS", "", 405}} {
		r := httptest.NewRequest(tt.method, "/page.js", nil)
		r.Header.Set("If-None-Match", tt.match)
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, r)
		if w.Code != tt.status || w.Code == 405 && w.Header().Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s %s: %d %v", tt.method, tt.match, w.Code, w.Header())
		}
	}
}

// say posts a page's message, "state=hidden&n=1", and returns the status.
func say(tr *presence.Tracker, token, words string) int {
	w := httptest.NewRecorder()
	tr.ServeHTTP(w, httptest.NewRequest("POST", "/page.js?page="+url.QueryEscape(token)+"&"+words, nil))
	return w.Code
}

// here makes a token for ann, and connects its session in a place.
func here(t *testing.T, tr *presence.Tracker) (string, presence.Session, *sse.EventSource) {
	t.Helper()
	token, s := tr.Token("ann")
	source := connect(t)
	if err := tr.Connect(source, s, "a"); err != nil {
		t.Fatal(err)
	}
	return token, s, source
}

// A refused message changes nothing.
func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := presence.Tracker{User: func(*http.Request) string { return "ann" }}
		token, s, source := here(t, &tr)
		var foreign presence.Tracker
		others, _ := foreign.Token("ann")
		bobs, _ := tr.Token("bob")
		another, _ := tr.Token("ann")
		for _, tt := range []struct {
			token, words string
			status       int
		}{
			{"", "state=gone", 403},
			{others, "state=gone", 403},
			{bobs, "state=gone", 403},
			{strings.Repeat("A", 1<<20), "state=gone", 403},
			{token, "", 400},
			{token, "state=away", 400},
			{token, "state=" + strings.Repeat("x", 1<<20), 400},
			{token, "state=gone&n=x", 400},
			{token, "state=gone&n=-1", 400},
			{token, "state=gone&n=99999999999999999999", 400},
			{another, "state=gone", 204}, // another page
			{token, "state=visible", 204},
		} {
			if got := say(&tr, tt.token, tt.words); got != tt.status {
				t.Errorf("%.40s %.40s: %d", tt.token, tt.words, got)
			}
		}
		for _, err := range []error{
			tr.Connect(source, s, "b", strings.Repeat("x", 1<<20)),
			tr.Connect(source, presence.Session{User: "ann"}, "b"),
			tr.Connect(nil, s, "b"),
			tr.Connect(new(sse.EventSource), s, "b"),
		} {
			if err == nil || len(err.Error()) > 200 {
				t.Errorf("error %v", err)
			}
		}
		if !tr.Present(s) || len(tr.Members("a")) != 1 || len(tr.Users("a")) != 1 || tr.Users("b") != nil {
			t.Error("a refused message has changed the state")
		}
		if say(&tr, token, "state=gone&n=1") != 204 || tr.Present(s) {
			t.Error("the goodbye had no effect")
		}
		step(time.Second)
	})
}

// A hidden page may be without a stream for longer, and has time to reconnect when it is
// shown again, in whichever order the message and the end of the stream arrive.
func TestHidden(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hidden time.Duration
		words  []string      // at 0 s, 1 s, 2 s …; "lost" is the stream's end
		until  time.Duration // how long it is present, from the first message
	}{
		{"lost, hidden", 0, []string{"lost", "state=hidden"}, 5 * time.Minute},
		{"hidden, lost", 0, []string{"state=hidden", "lost"}, 5*time.Minute + time.Second},
		{"visible in time", 0, []string{"state=hidden", "lost", "", "state=visible"}, 8 * time.Second},
		{"hidden once more", 0, []string{"state=hidden", "lost", "state=visible", "state=hidden"}, 5*time.Minute + time.Second},
		{"overtaken", 0, []string{"lost", "state=visible&n=2", "state=hidden&n=1"}, 5 * time.Second},
		{"goodbye overtaken", 0, []string{"state=visible&n=2", "state=gone&n=1", "lost"}, 7 * time.Second},
		{"a word without a number", 0, []string{"state=visible&n=2", "state=visible", "state=hidden&n=1", "lost"}, 8 * time.Second},
		{"another time", time.Minute, []string{"lost", "state=hidden"}, time.Minute},
		{"as the grace", -1, []string{"lost", "state=hidden"}, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr := presence.Tracker{Grace: 5 * time.Second, HiddenGrace: tt.hidden}
				token, s, source := here(t, &tr)
				begin := time.Now()
				for _, words := range tt.words {
					switch words {
					case "":
					case "lost":
						source.Close()
						synctest.Wait()
					default:
						say(&tr, token, words)
					}
					step(time.Second)
				}
				step(tt.until - time.Since(begin) - 1)
				if !tr.Present(s) {
					t.Error("gone before")
				}
				step(1)
				if tr.Present(s) {
					t.Error("still present")
				}
			})
		})
	}
}

// With MaxSilence a page that sends nothing is gone, with its connection: a proxy may
// hold that.
func TestRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := presence.Tracker{Grace: 5 * time.Second, MaxSilence: time.Minute}
		token, s, source := here(t, &tr)
		for range 10 {
			step(time.Minute - 1)
			say(&tr, token, "state=visible")
		}
		step(time.Minute - 1)
		say(&tr, token, "state=hidden")
		step(5*time.Minute - 1)
		if !tr.Present(s) || source.ReadyState() != sse.Open {
			t.Error("gone before")
		}
		step(1)
		if tr.Present(s) || source.ReadyState() != sse.Closed {
			t.Error("still present")
		}
		// MaxSilence alone does not keep a session that has no connection.
		token, s, source = here(t, &tr)
		source.Close()
		for range 5 {
			if !tr.Present(s) {
				t.Error("gone before the grace has passed")
			}
			step(time.Second)
			say(&tr, token, "state=visible")
		}
		if tr.Present(s) {
			t.Error("present without a connection")
		}
	})
}
