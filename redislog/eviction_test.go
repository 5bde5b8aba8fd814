package redislog_test

import (
	"strings"
	"testing"

	"example.org/sse/redislog"
)

// A server that may evict keys is refused, unless it has no limit.
func TestEviction(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	for _, tt := range []struct {
		policy, limit string
		ok            bool
	}{
		{"noeviction", "100mb", true},
		{"allkeys-lru", "0", true},
		{"allkeys-lru", "100mb", false},
		{"volatile-ttl", "100mb", false},
	} {
		s.do("CONFIG", "SET", "maxmemory-policy", tt.policy, "maxmemory", tt.limit)
		for _, err := range []error{
			errorOf(redislog.Open(t.Context(), s.client(), "log", nil)),
			errorOf(redislog.OpenStore(t.Context(), s.client(), "store", nil)),
		} {
			if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), tt.policy) {
				t.Errorf("%s with a limit of %s: got error %v, want it accepted: %v", tt.policy, tt.limit, err, tt.ok)
			}
		}
	}
}
