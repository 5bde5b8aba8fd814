package e2e

import (
	"context"

	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/redislog"
)

// The code of docs/scaling.md that is not a program of its own. TestScalingGuide compares it.

var _ = onRedis

func onRedis(ctx context.Context) (*sse.Hub, error) {
	client := redis.NewClient(&redis.Options{
		Addr:                  "redis:6379",
		PoolSize:              100, // more than concurrent dispatches
		ContextTimeoutEnabled: true,
	})
	entries, err := redislog.Open(ctx, client, "site", nil)
	if err != nil {
		return nil, err
	}
	hub := sse.Hub{Log: entries, History: 10_000, HistoryBytes: 64 << 20}
	return &hub, nil
}
