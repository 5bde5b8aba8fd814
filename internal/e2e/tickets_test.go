package e2e

import (
	"errors"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

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
