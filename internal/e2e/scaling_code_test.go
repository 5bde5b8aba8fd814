package e2e

import (
	"context"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/pglog"
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

var _ = onPostgres

func onPostgres(ctx context.Context) (*sse.Hub, error) {
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	entries, err := pglog.Open(ctx, pool, "site", nil)
	if err != nil {
		return nil, err
	}
	hub := sse.Hub{Log: entries, History: 10_000, HistoryBytes: 64 << 20}
	board := hub.Set("board")
	text, key := "hello", "1"
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO message (text) VALUES ($1)", text); err != nil {
			return err
		}
		return board.DispatchIn(ctx, entries.Tx(tx), key, sse.Event{Data: text})
	})
	return &hub, err
}
