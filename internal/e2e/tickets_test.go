package e2e

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/redislog"
	"example.org/sse/tickets"
)

// Of several requests with one ticket one succeeds, in whichever process that is on a
// store.
func TestTickets(t *testing.T) {
	skipShort(t)
	t.Run("NATS", func(t *testing.T) {
		t.Parallel()
		b := startBroker(t, 1)
		redeemOnce(t, func() backplane.Store { return b.storeOn(t, b.connect(t, 0), "tickets") })
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		addr, _, _ := startRedis(t)
		redeemOnce(t, func() backplane.Store {
			client := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { client.Close() })
			store, err := redislog.OpenStore(t.Context(), client, "tickets", nil)
			if err != nil {
				t.Fatal(err)
			}
			return store
		})
	})
}

func redeemOnce(t *testing.T, open func() backplane.Store) {
	t.Helper()
	var issuers []*tickets.Issuer
	for range 3 {
		issuers = append(issuers, &tickets.Issuer{Key: []byte("shared"), Store: open()})
	}
	for range 20 {
		target := "/events?ticket=" + issuers[0].Issue("ann", "/events")
		var redeeming sync.WaitGroup
		var redeemed atomic.Int32
		for i := range 9 {
			redeeming.Go(func() {
				user, err := issuers[i%3].Redeem(httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
				switch {
				case err == nil && user == "ann":
					redeemed.Add(1)
				case !errors.Is(err, tickets.ErrInvalidTicket):
					t.Errorf("Redeem: %q, error %v", user, err)
				}
			})
		}
		redeeming.Wait()
		if got := redeemed.Load(); got != 1 {
			t.Fatalf("redeemed %d times, want 1", got)
		}
	}
}

// The guide's script gets a ticket for each connection, and misses nothing.
func TestTicketPage(t *testing.T) {
	needChromium(t)
	var issuer tickets.Issuer
	var group sse.Set
	page := pagesOf(`<script>
const token = 'Bearer ann', show = text => list.insertAdjacentHTML('beforeend', '<li>' + text)
`+guide(t, "login.md", "js")[0]+`connect()
</script>`, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, err := issuer.Redeem(r); err != nil || user != "ann" {
			http.Error(w, "no valid ticket", http.StatusForbidden)
			return
		}
		group.ServeHTTP(w, r)
	}))
	var issued atomic.Int32
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.HandleFunc("POST /ticket", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer ann" {
			issued.Add(1)
			io.WriteString(w, issuer.Issue("ann", "/events"))
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer group.CloseAll()
	b := open(t, server.URL)
	awaitMember(t, &group)
	group.Dispatch("", "one")
	b.await(soon, "list.textContent === 'one'")
	group.CloseAll()
	group.Dispatch("", "two")
	awaitMember(t, &group)
	group.Dispatch("", "three")
	b.await(soon, "list.textContent === 'onetwothree'")
	if got := issued.Load(); got != 2 {
		t.Errorf("%d tickets, want 2", got)
	}
}
