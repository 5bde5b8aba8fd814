package locks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// An answer is what a table's handler answers.
type answer struct {
	Error   string
	Message string
	locks.Lock[int]
}

func cardOf(r *http.Request) (int, error) {
	key, err := strconv.Atoi(r.FormValue("card"))
	if err != nil {
		return 0, errors.New("no such card")
	}
	return key, nil
}

// act posts an action of a page, and returns the answer and its status.
func act(t *testing.T, table *locks.Table[int], token, words string) (a answer, status int) {
	t.Helper()
	return send(t, table, httptest.NewRequest("POST", "/locks?page="+token+"&"+words, nil))
}

func send(t *testing.T, table *locks.Table[int], r *http.Request) (a answer, status int) {
	t.Helper()
	w := httptest.NewRecorder()
	table.Handler(cardOf).ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Errorf("%.100q: %v", w.Body, err)
	}
	if typ := w.Header().Get("Content-Type"); typ != "application/json" || (a.Error == "") != (w.Code == http.StatusOK) || (a.Error == "") != (a.Message == "") {
		t.Errorf("got %d %s, error %q, message %q", w.Code, typ, a.Error, a.Message)
	}
	return a, w.Code
}

// The lock passes between two pages by their requests alone.
func TestHandler(t *testing.T) {
	for _, store := range []backplane.Store{nil, new(backplane.Memory)} {
		bubbleOn(t, store, func(t *testing.T, s *site, table *locks.Table[int]) {
			table.MaxQueue = 1
			ann, bob, eve := s.open("ann"), s.open("bob"), s.open("eve")
			away, _ := s.tracker.Token("ann")
			for _, tt := range []struct {
				page, words, want string
				status            int
			}{
				{ann.token, "action=take&card=7", "ann", 200},
				{ann.token, "action=take&card=7", "ann", 200},
				{bob.token, "action=take&card=7", "ann held", 409},
				{bob.token, "action=renew&card=7", "ann not-held", 409},
				{bob.token, "action=release&card=7", "ann not-held", 409},
				{bob.token, "action=queue&card=7", "ann, bob", 200},
				{eve.token, "action=queue&card=7", "ann, bob queue-full", 409},
				{away, "action=take&card=7", "ann, bob absent", 409},
				{ann.token, "action=renew&card=7", "ann, bob", 200},
				{ann.token, "action=release&card=7", "bob", 200},
				{ann.token, "action=steal&card=7&reason=lunch", "ann", 200},
				{ann.token, "action=release&card=7", "", 200},
				{ann.token, "action=release&card=7", " not-held", 409},
				{"", "action=take&card=7", " token", 403},
				{ann.token + "A", "action=take&card=7", " token", 403},
				{ann.token, "action=take&card=x", " key", 400},
				{ann.token, "action=take", " key", 400},
				{ann.token, "action=&card=7", " action", 400},
				{ann.token, "action=Take&card=7", " action", 400},
				{ann.token, "card=7", " action", 400},
			} {
				a, status := act(t, table, tt.page, tt.words)
				got := a.Holder.User
				for _, s := range a.Queue {
					got += ", " + s.User
				}
				if a.Error != "" {
					got += " " + a.Error
				}
				if got != tt.want || status != tt.status {
					t.Errorf("%s: got %q, status %d; want %q, %d", tt.words, got, status, tt.want, tt.status)
				}
				synctest.Wait()
			}
			if got := eve.received(); len(got) == 0 || got[3] != "7 stolen: ann from bob, since lunch" {
				t.Errorf("got changes %q, want a fourth with the reason", got)
			}
		})
	}
}

// multiparts returns a form as a browser sends a FormData, and its type.
func multiparts(t *testing.T, more string) (body, typ string) {
	t.Helper()
	var b strings.Builder
	m := multipart.NewWriter(&b)
	for name, value := range map[string]string{"action": "take", "card": "7", "more": more} {
		if err := m.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), m.FormDataContentType()
}

// Actions are sent in a form, too. What is no request of a page has its status.
func TestHandlerForms(t *testing.T) {
	bubble(t, func(t *testing.T, s *site, table *locks.Table[int]) {
		ann := s.open("ann")
		form := url.Values{"action": {"take"}, "card": {"7"}}.Encode()
		parts, typ := multiparts(t, "")
		long, longType := multiparts(t, strings.Repeat("x", 64<<10))
		const encoded = "application/x-www-form-urlencoded"
		for _, tt := range []struct {
			method, typ, body string
			status            int
			want              string
		}{
			{"POST", encoded, form, 200, ""},
			{"POST", typ, parts, 200, ""},
			{"POST", encoded, form + "&x=" + strings.Repeat("x", 64<<10), 413, "too-large"},
			{"POST", longType, long, 413, "too-large"},
			{"POST", typ, "nothing", 400, "action"},
			{"POST", encoded, form + "&%", 400, "action"},
			{"POST", "application/json", form, 400, "key"},
			{"PUT", encoded, form, 405, "method"},
			{"GET", encoded, "", 405, "method"},
		} {
			r := httptest.NewRequest(tt.method, "/locks", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.typ)
			r.Header.Set("Page-Token", ann.token)
			a, status := send(t, table, r)
			if status != tt.status || a.Error != tt.want || (a.Holder == ann.Session) != (status == 200) {
				t.Errorf("%s %.40s %.40s: got %d %q, held by %v; want %d %q", tt.method, tt.typ, tt.body, status, a.Error, a.Holder, tt.status, tt.want)
			}
		}
	})
}

// A store that does not answer is a 503 in time, for an action as for a save, and none of
// them is done.
func TestHandlerCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, newLagStore(new(backplane.Memory), 1, lag{}), nil)
		defer p.close()
		token, s := p.tracker.Token("ann")
		connectSession(t, p.tracker, s)
		a, status := act(t, p.table, token, "action=take&card=7")
		if status != http.StatusOK {
			t.Fatalf("got status %d, %+v", status, a)
		}
		for !leased(p.tracker) {
			time.Sleep(time.Millisecond) // fake
		}
		saved := false
		guard := p.table.Guard(cardOf, func(http.ResponseWriter, *http.Request, locks.Lock[int]) { saved = true })
		save := func() int {
			w := httptest.NewRecorder()
			guard.ServeHTTP(w, httptest.NewRequest("POST", fmt.Sprintf("/?page=%s&card=7&fence=%d", token, a.Fence), nil))
			return w.Code
		}
		if got := save(); got != http.StatusOK || !saved {
			t.Errorf("got status %d, saved %v; want 200", got, saved)
		}
		saved = false
		mend := p.store.disconnect()
		for range 3 { // cut off, and then without a lease
			begin := time.Now()
			if got, status := act(t, p.table, token, "action=release&card=7"); status != http.StatusServiceUnavailable || got.Error != "unavailable" || time.Since(begin) > 8*time.Second {
				t.Errorf("got %d %q after %v, want 503 within 8 s", status, got.Error, time.Since(begin))
			}
			begin = time.Now()
			if got := save(); got != http.StatusServiceUnavailable || saved || time.Since(begin) > 5*time.Second {
				t.Errorf("got status %d, saved %v, after %v; want 503 within 5 s", got, saved, time.Since(begin))
			}
		}
		mend()
		time.Sleep(time.Minute) // fake
	})
}

// A token that another user replays is refused by the stream, the actions and a save, and
// nothing is done.
func TestReplayed(t *testing.T) {
	people := &presence.Tracker{User: func(r *http.Request) string { return r.Header.Get("User") }}
	cards := &locks.Table[int]{Presence: people}
	defer cards.Close()
	token, ann := people.Token("ann")
	source := connectSession(t, people, ann)
	defer source.Close()
	l, err := cards.Take(t.Context(), ann, 7)
	if err != nil {
		t.Fatal(err)
	}
	saved := 0
	guard := cards.Guard(cardOf, func(http.ResponseWriter, *http.Request, locks.Lock[int]) { saved++ })
	for _, user := range []string{"bob", "", "ann"} {
		for name, tt := range map[string]struct {
			handler     http.Handler
			method, url string
		}{
			"message": {people, "POST", "/page.js?state=visible"},
			"action":  {cards.Handler(cardOf), "POST", "/locks?action=renew&card=7"},
			"save":    {guard, "POST", fmt.Sprintf("/save?card=7&fence=%d", l.Fence)},
		} {
			r := httptest.NewRequest(tt.method, tt.url+"&page="+token, nil)
			r.Header.Set("User", user)
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, r)
			if refused := w.Code == http.StatusForbidden; refused != (user != "ann") {
				t.Errorf("%s by %q: got status %d", name, user, w.Code)
			}
		}
		r := httptest.NewRequest("GET", "/locks?page="+token, nil)
		r.Header.Set("User", "bob")
		w := httptest.NewRecorder()
		if cards.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("a stream of another user: got status %d, want 403", w.Code)
		}
	}
	if saved != 1 {
		t.Errorf("got %d saves, want 1", saved)
	}
}
