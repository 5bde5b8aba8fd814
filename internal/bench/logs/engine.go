//go:build linux

// Package logs measures the cost of a log that processes share: hubs on a log in
// memory, on NATS, on Redis and PostgreSQL, each with a member, in processes of their own. It also
// measures all clients of a process that reconnect at once.
package logs

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/natslog"
	"example.org/sse/pglog"
	"example.org/sse/redislog"
)

// An Engine keeps a hub's log.
type Engine struct {
	Name     string
	about    string
	local    bool     // shared within one process alone
	nats     int      // servers
	redis    []string // arguments of the server
	postgres bool
	open     func(ctx context.Context, addrs string) (backplane.Log, error) // until the process ends
}

// base is the name of the engine that others are compared with.
const base = "memory"

// Engines are all of them, in the order of the tables.
var Engines = []Engine{
	{Name: "none", about: "no log: one process, as a `Set` alone", local: true, open: openNone},
	{Name: base, about: "`backplane.Memory`: several hubs in one process", local: true, open: openMemory},
	{Name: "nats, memory", about: "one NATS server, entries in memory", nats: 1, open: natsOpener(natslog.Options{Memory: true})},
	{Name: "nats, file", about: "one NATS server, entries on disk", nats: 1, open: natsOpener(natslog.Options{})},
	{Name: "nats, three", about: "a cluster of three NATS servers on this machine, on disk", nats: 3, open: natsOpener(natslog.Options{Replicas: 3})},
	{Name: "redis", about: "Redis that keeps nothing on disk", redis: []string{"--save", ""}, open: openRedis},
	{Name: "redis, aof", about: "Redis with `appendonly yes`, `appendfsync everysec`", redis: []string{"--save", "", "--appendonly", "yes", "--appendfsync", "everysec"}, open: openRedis},
	{Name: "postgres", about: "PostgreSQL, which has an event on its disk before the call returns", postgres: true, open: pgOpener("on")},
	{Name: "postgres, async", about: "PostgreSQL with `synchronous_commit=off`: on its disk 0.6 s later at most", postgres: true, open: pgOpener("off")},
}

// Find returns the engine of that name.
func Find(name string) (Engine, error) {
	for _, e := range Engines {
		if e.Name == name {
			return e, nil
		}
	}
	return Engine{}, fmt.Errorf("unknown log %q; the logs are %s", name, strings.Join(Names(), "; "))
}

// Names returns the names of all engines.
func Names() (names []string) {
	for _, e := range Engines {
		names = append(names, e.Name)
	}
	return names
}

func openNone(context.Context, string) (backplane.Log, error) { return nil, nil }

func openMemory(context.Context, string) (backplane.Log, error) { return new(backplane.Memory), nil }

func natsOpener(o natslog.Options) func(context.Context, string) (backplane.Log, error) {
	return func(ctx context.Context, addrs string) (backplane.Log, error) {
		nc, err := nats.Connect(addrs, natslog.ConnOptions()...)
		if err != nil {
			return nil, err
		}
		return natslog.Open(ctx, nc, "bench", &o)
	}
}

func openRedis(ctx context.Context, addr string) (backplane.Log, error) {
	client := redis.NewClient(&redis.Options{
		Addr: addr, ContextTimeoutEnabled: true,
		PoolSize:      300, // more than callers
		DialerRetries: 600, // a minute, for a server that is starting
	})
	return redislog.Open(ctx, client, "bench", nil)
}

func pgOpener(synchronousCommit string) func(context.Context, string) (backplane.Log, error) {
	return func(ctx context.Context, url string) (backplane.Log, error) {
		c, err := pgxpool.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		c.ConnConfig.RuntimeParams["synchronous_commit"] = synchronousCommit
		pool, err := pgxpool.NewWithConfig(ctx, c)
		if err != nil {
			return nil, err
		}
		return pglog.Open(ctx, pool, "bench", nil)
	}
}
