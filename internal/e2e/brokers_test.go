package e2e

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/redislog"
)

// onBrokers runs a test on a real NATS server and on a real Redis. Each call of open
// connects as another process would.
func onBrokers(t *testing.T, test func(t *testing.T, open func() (backplane.Log, backplane.Store))) {
	skipShort(t)
	t.Run("NATS", func(t *testing.T) {
		b := startBroker(t, 1)
		test(t, func() (backplane.Log, backplane.Store) {
			return b.log(t, 0, "shared", nil), b.store(t, 0, "shared", nil)
		})
	})
	t.Run("Redis", func(t *testing.T) {
		addr, _, _ := startRedis(t)
		test(t, func() (backplane.Log, backplane.Store) {
			client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, PoolSize: 100})
			t.Cleanup(func() { client.Close() })
			l, err := redislog.Open(t.Context(), client, "shared", nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := redislog.OpenStore(t.Context(), client, "shared", nil)
			if err != nil {
				t.Fatal(err)
			}
			return l, s
		})
	})
}
