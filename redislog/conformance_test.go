package redislog_test

import (
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/logtest"
	"example.org/sse/redislog"
)

func TestConformance(t *testing.T) {
	s := startRedis(t)
	open := func(t testing.TB, name string, history int) backplane.Log {
		l, err := redislog.Open(t.Context(), s.client(), name, &redislog.Options{History: history})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	t.Run("log", func(t *testing.T) { logtest.Run(t, open) })
	t.Run("store", func(t *testing.T) {
		logtest.RunStore(t, func(t testing.TB, name string) backplane.Store {
			st, err := redislog.OpenStore(t.Context(), s.client(), name, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(st.Close)
			return st
		})
	})
}
