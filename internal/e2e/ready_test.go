package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/redislog"
)

// A process whose broker is away for more than 10 s is not ready, though the log keeps
// trying by itself, and is ready again when the broker is back.
func TestNotReadyWithoutBroker(t *testing.T) {
	skipShort(t)
	t.Parallel()
	t.Run("NATS", func(t *testing.T) {
		t.Parallel()
		b := startBroker(t, 1)
		notReadyWithout(t, b.log(t, 0, "ready", nil), func() { b.start(0) }, func() { b.stop(0) })
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		addr, start, kill := startRedis(t)
		client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
		t.Cleanup(func() { client.Close() })
		l, err := redislog.Open(t.Context(), client, "ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		notReadyWithout(t, l, start, kill)
	})
}

func notReadyWithout(t *testing.T, l backplane.Log, start, stop func()) {
	hub := sse.Hub{Log: l}
	defer hub.Close()
	if err := hub.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return hub.WaitReady(ctx) == nil
	}
	begin := time.Now()
	stop()
	eventually(t, 15*time.Second, func() string {
		if ready() {
			return "ready without a broker"
		}
		return ""
	})
	if d := time.Since(begin); d < 7*time.Second { // the broker was last heard some seconds before
		t.Errorf("not ready after %v: a restart of the broker is shorter", d)
	}
	start()
	eventually(t, 15*time.Second, func() string {
		if !ready() {
			return "not ready with a broker"
		}
		return ""
	})
}
