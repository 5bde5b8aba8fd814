package redislog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
	"example.org/sse/logtest"
	"example.org/sse/redislog"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	conformance(t, func() redis.UniversalClient { return s.client() })
}

// A cluster requires all keys of a request to be in one slot, with any number of servers.
func TestConformanceInCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("the same as without a cluster takes half a minute")
	}
	t.Parallel()
	s := startRedis(t, "--cluster-enabled", "yes")
	s.do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	for began := time.Now(); !strings.Contains(s.do("CLUSTER", "INFO").(string), "cluster_state:ok"); {
		if time.Since(began) > probe.Patience {
			t.Fatal("the cluster does not start")
		}
		time.Sleep(10 * time.Millisecond) // until the server is ready as a cluster
	}
	conformance(t, func() redis.UniversalClient {
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.addr()}, ReadOnly: true, PoolSize: 300})
		t.Cleanup(func() { c.Close() })
		return c
	})
}

// conformance runs the suite; each handle has a client of its own.
func conformance(t *testing.T, client func() redis.UniversalClient) {
	t.Run("log", func(t *testing.T) {
		logtest.Run(t, func(t testing.TB, name string, history int) backplane.Log {
			l, err := redislog.Open(t.Context(), client(), name, &redislog.Options{History: history})
			if err != nil {
				t.Fatal(err)
			}
			return l
		})
	})
	t.Run("store", func(t *testing.T) {
		logtest.RunStore(t, func(t testing.TB, name string) backplane.Store {
			st, err := redislog.OpenStore(t.Context(), client(), name, nil)
			if err != nil {
				t.Fatal(err)
			}
			return st
		})
	})
}
