package presence_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/presence"
)

// request returns a request of a page with that token.
func request(token string) *http.Request {
	return httptest.NewRequest("GET", "/events?page="+url.QueryEscape(token), nil)
}

func TestToken(t *testing.T) {
	var tr presence.Tracker
	seen := make(map[presence.Session]bool)
	for _, user := range []string{"", "ann", "Åsa & <b>/?=", "\x00\xff", strings.Repeat("x", 256)} {
		for range 3 {
			token, made := tr.Token(user)
			if token != url.QueryEscape(token) {
				t.Errorf("token %q needs escaping", token)
			}
			s, err := tr.Session(request(token))
			if err != nil || s != made || s.User != user || s.Page == "" || seen[s] {
				t.Errorf("Token(%.10q): %+v, %v", user, s, err)
			}
			seen[s] = true
			r := httptest.NewRequest("POST", "/save", nil)
			r.Header.Set("Page-Token", token)
			if again, err := tr.Session(r); again != s || err != nil {
				t.Errorf("by the header: got %+v, %v; want %+v", again, err, s)
			}
		}
	}
	if token, s := tr.Token(strings.Repeat("x", 256+1)); token != "" || s != (presence.Session{}) {
		t.Errorf("got token %q and %v for a user that is too long, want none", token, s)
	}
}

// With the same key tokens stay valid, in other processes too.
func TestKey(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	one, two, other, random := presence.Tracker{Key: key}, presence.Tracker{Key: key}, presence.Tracker{Key: key[1:]}, presence.Tracker{}
	token, _ := one.Token("ann")
	if _, err := two.Session(request(token)); err != nil {
		t.Error(err)
	}
	for _, tr := range []*presence.Tracker{&other, &random} {
		if s, err := tr.Session(request(token)); !errors.Is(err, presence.ErrInvalidToken) || s != (presence.Session{}) {
			t.Errorf("another key: %+v, %v", s, err)
		}
	}
}

// A tracker with a Store and without a Key is refused each time, and no secret is empty:
// net/http recovers the panic of a request.
func TestNoKey(t *testing.T) {
	var empty presence.Tracker
	tr := presence.Tracker{Store: new(backplane.Memory)}
	refused := func(f func()) {
		t.Helper()
		defer func() {
			if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "needs a Key") {
				t.Errorf("got panic %v, want one about the Key", r)
			}
		}()
		f()
	}
	token, _ := empty.Token("ann")
	forged := request(token)
	for range 3 {
		refused(func() { tr.Token("ann") })
		refused(func() { tr.Session(forged) })
		refused(func() { tr.Present(presence.Session{Page: "x"}) })
		refused(func() { tr.Leave(presence.Session{Page: "x"}) })
	}
}

func TestTokenRefused(t *testing.T) {
	tr := presence.Tracker{User: func(r *http.Request) string { return r.Header.Get("User") }}
	anns, _ := tr.Token("ann")
	for _, tt := range []struct{ name, token, user, says string }{
		{"none", "", "ann", "missing"},
		{"foreign", anns, "bob", "foreign"},
		{"nobody's", anns, "", "foreign"},
		{"truncated", anns[:len(anns)-1], "ann", "forged"},
		{"half", anns[:len(anns)/2], "ann", "forged"},
		{"longer", anns + "AAAA", "ann", "forged"},
		{"other user", anns[:len(anns)-2] + "AA", "ann", "forged"},
		{"other page", anns[:30] + "AA" + anns[32:], "ann", "forged"},
		{"other signature", "AA" + anns[2:], "ann", "forged"},
		{"no base64", "%%%", "ann", "forged"},
		{"line end", anns + "\n", "ann", "forged"},
		{"zeros", strings.Repeat("A", 40), "", "forged"},
		{"1 MiB", strings.Repeat("A", 1<<20), "ann", "forged: is 1048576 bytes long"},
	} {
		r := request(tt.token)
		r.Header.Set("User", tt.user)
		s, err := tr.Session(r)
		if !errors.Is(err, presence.ErrInvalidToken) || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 200 || s != (presence.Session{}) {
			t.Errorf("%s: %+v, %v", tt.name, s, err)
		}
	}
	r := request(anns)
	r.Header.Set("User", "ann")
	if _, err := tr.Session(r); err != nil {
		t.Error(err)
	}
}

// Only a token that was issued is accepted: there is one spelling of each.
func FuzzToken(f *testing.F) {
	tr := presence.Tracker{Key: []byte("key")}
	const issued = "E8B9hpmTMO69bTwfScKPpgkas2USVAQ7aQ9JSmFubg" // with this key, for ann; in all processes the same
	f.Add(issued)
	f.Add(issued[:len(issued)-1])
	f.Add(issued + "=")
	f.Add(issued[:len(issued)-1] + "h") // differs in bits that are not used
	f.Add(issued[:20] + "\n" + issued[20:])
	f.Add(" " + issued)
	f.Add(strings.Repeat("A", 64))
	f.Fuzz(func(t *testing.T, token string) {
		s, err := tr.Session(request(token))
		if (err == nil) != (token == issued) {
			t.Errorf("%q: %+v, %v", token, s, err)
		}
		if err != nil && (!errors.Is(err, presence.ErrInvalidToken) || s != (presence.Session{})) {
			t.Errorf("%q: %+v, %v", token, s, err)
		}
		its, _ := tr.Token(token)
		again, err := tr.Session(request(its))
		if len(token) <= 256 && (err != nil || again.User != token) {
			t.Errorf("user %q: %+v, %v", token, again, err)
		}
	})
}
