package tickets_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/tickets"
)

// request is one with a ticket.
func request(t *testing.T, path, ticket string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"?ticket="+ticket, http.NoBody)
}

// wantInvalid checks that a ticket is refused, for a reason that has a text.
func wantInvalid(t *testing.T, i *tickets.Issuer, path, ticket, reason string) {
	t.Helper()
	user, err := i.Redeem(request(t, path, ticket))
	if !errors.Is(err, tickets.ErrInvalidTicket) || !strings.Contains(err.Error(), reason) || user != "" {
		t.Errorf("Redeem(%s, %.20q): %q, error %v; want %v: %s", path, ticket, user, err, tickets.ErrInvalidTicket, reason)
	}
}

func wantUser(t *testing.T, i *tickets.Issuer, path, ticket, want string) {
	t.Helper()
	if user, err := i.Redeem(request(t, path, ticket)); err != nil || user != want {
		t.Errorf("Redeem: %q, error %v; want %q", user, err, want)
	}
}

func TestOnce(t *testing.T) {
	var issuer tickets.Issuer
	for _, user := range []string{"ann", "", "bøb & co", strings.Repeat("x", tickets.MaxUser)} {
		ticket := issuer.Issue(user, "/events")
		wantUser(t, &issuer, "/events", ticket, user)
		wantInvalid(t, &issuer, "/events", ticket, "used")
	}
	if got := issuer.Issue(strings.Repeat("x", tickets.MaxUser+1), "/events"); got != "" {
		t.Errorf("a user that is too long got %q, want no ticket", got)
	}
}

// A ticket that is refused is not used up.
func TestOtherPath(t *testing.T) {
	var issuer tickets.Issuer
	ticket := issuer.Issue("ann", "/events")
	for _, path := range []string{"/", "/events/", "/event", "/events/s", "/EVENTS"} {
		wantInvalid(t, &issuer, path, ticket, "another path")
	}
	wantUser(t, &issuer, "/events", ticket, "ann")
}

// Whatever byte of a ticket is changed, it is refused.
func TestForged(t *testing.T) {
	var issuer tickets.Issuer
	ticket := issuer.Issue("ann", "/events")
	raw, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := append([]byte(nil), raw...)
		forged[i] ^= 1
		wantInvalid(t, &issuer, "/events", base64.RawURLEncoding.EncodeToString(forged), "forged")
	}
	for _, tt := range []struct{ name, ticket, reason string }{
		{"none", "", "missing"},
		{"cut", ticket[:20], "forged"},
		{"cut by a user", ticket[:len(ticket)-2], "forged"},
		{"longer", ticket + "AA", "forged"},
		{"too long", strings.Repeat("A", 1000), "forged"},
		{"spelled otherwise", ticket[:4] + "%0A" + ticket[4:], "forged"},
		{"of another issuer", new(tickets.Issuer).Issue("ann", "/events"), "another key"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantInvalid(t, &issuer, "/events", tt.ticket, tt.reason) })
	}
	wantUser(t, &issuer, "/events", ticket, "ann")
}

func TestExpired(t *testing.T) {
	for _, tt := range []struct{ maxAge, want time.Duration }{{0, time.Minute}, {-1, time.Minute}, {time.Hour, time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			issuer := tickets.Issuer{MaxAge: tt.maxAge}
			early, late := issuer.Issue("ann", "/"), issuer.Issue("ann", "/")
			time.Sleep(tt.want - time.Millisecond) // fake
			wantUser(t, &issuer, "/", early, "ann")
			time.Sleep(time.Millisecond) // fake
			wantInvalid(t, &issuer, "/", late, "expired")
			wantInvalid(t, &issuer, "/", early, "expired")
			time.Sleep(2 * time.Hour) // fake: the record expires
		})
	}
}

// Processes with one key and one store redeem each other's tickets, each once, even if
// many requests come at the same time.
func TestSeveralProcesses(t *testing.T) {
	store, key := new(backplane.Memory), []byte("secret")
	var list []*tickets.Issuer
	for range 3 {
		list = append(list, &tickets.Issuer{Key: key, Store: store})
	}
	for range 20 {
		ticket := list[0].Issue("ann", "/")
		var redeeming sync.WaitGroup
		var redeemed atomic.Int32
		for n := range 30 {
			redeeming.Go(func() {
				_, err := list[n%3].Redeem(request(t, "/", ticket))
				if err == nil {
					redeemed.Add(1)
				} else if !errors.Is(err, tickets.ErrInvalidTicket) {
					t.Error(err)
				}
			})
		}
		redeeming.Wait()
		if got := redeemed.Load(); got != 1 {
			t.Fatalf("redeemed %d times, want 1", got)
		}
	}
}

// A process whose clock is late does not take a ticket that was used.
func TestUsedStaysUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(recorder)
		issuer := tickets.Issuer{Store: store}
		ticket := issuer.Issue("ann", "/")
		time.Sleep(30 * time.Second) // fake
		wantUser(t, &issuer, "/", ticket, "ann")
		if want := 90 * time.Second; store.ttl != want {
			t.Errorf("the record stays for %v, want %v", store.ttl, want)
		}
	})
}

// A recorder is a store that records for how long records stay.
type recorder struct {
	backplane.Store
	ttl time.Duration
}

func (s *recorder) Swap(_ context.Context, key string, _ uint64, value []byte, ttl time.Duration) (backplane.Record, error) {
	s.ttl = ttl
	return backplane.Record{Key: key, Rev: 1, Value: value}, nil
}

// Without its store an issuer admits nobody, and does not wait for long.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := tickets.Issuer{Store: away{}}
		begin := time.Now()
		user, err := issuer.Redeem(request(t, "/", issuer.Issue("ann", "/")))
		if !errors.Is(err, backplane.ErrIndeterminate) || errors.Is(err, tickets.ErrInvalidTicket) || user != "" {
			t.Errorf("Redeem: %q, error %v; want %v", user, err, backplane.ErrIndeterminate)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v, want 5 s", took)
		}
		wantInvalid(t, &issuer, "/", "AAAA", "forged") // without the store
	})
}

// away is a store that does not answer.
type away struct{ backplane.Store }

func (away) Swap(ctx context.Context, _ string, _ uint64, _ []byte, _ time.Duration) (backplane.Record, error) {
	<-ctx.Done()
	return backplane.Record{}, errors.Join(backplane.ErrIndeterminate, ctx.Err())
}

func FuzzRedeem(f *testing.F) {
	var issuer tickets.Issuer
	f.Add(issuer.Issue("ann", "/"), "/events")
	f.Fuzz(func(t *testing.T, ticket, path string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.URL.Path = path
		r.URL.RawQuery = "ticket=" + ticket
		if user, err := issuer.Redeem(r); err == nil && path != "/" {
			t.Errorf("%q is good for %q, user %q", ticket, path, user)
		}
	})
}
