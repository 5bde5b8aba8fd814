package e2e

import (
	"sync/atomic"
	"testing"

	"example.org/sse/backplane"
	"example.org/sse/logtest"
	"example.org/sse/natslog"
)

// On NATS logs and stores are what they must be, on one server and on three.
func TestNATS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		servers int
		memory  bool
	}{
		{"memory", 1, true},
		{"file", 1, false},
		{"cluster", 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.memory && !*full {
				t.Skip("runs with -full: the same on disk is slower, but runs always")
			}
			t.Parallel()
			b := startBroker(t, tt.servers)
			var handles atomic.Int64 // each connects to another server
			t.Run("log", func(t *testing.T) {
				logtest.Run(t, func(t testing.TB, name string, history int) backplane.Log {
					return b.log(t, int(handles.Add(1))%tt.servers, name, &natslog.Options{History: history, HistoryBytes: 8 << 20, Memory: tt.memory})
				})
			})
			t.Run("store", func(t *testing.T) {
				logtest.RunStore(t, func(t testing.TB, name string) backplane.Store {
					return b.store(t, int(handles.Add(1))%tt.servers, name, &natslog.StoreOptions{Memory: tt.memory})
				})
			})
		})
	}
}
