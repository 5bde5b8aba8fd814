package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// With --persistent, tail waits for a server that cannot be reached or is too busy.
func TestTailPersistent(t *testing.T) {
	for _, row := range []struct {
		args     string
		code     int
		out, err string
		took     time.Duration // at least
	}{
		{"-n 1 URL", 1, "=", "503 Service Unavailable", 0},
		{"--persistent -n 1 URL", 0, "ready", "503 Service Unavailable", 10 * time.Second},
		{"--persistent -n 1 URL", 0, "ready", "reconnecting in 1", 10 * time.Second},
		{"--persistent -n 1 --data x --reconnect URL", 0, "ready", "503 Service Unavailable", 10 * time.Second},
		{"--persistent -n 1 --data x URL", 1, "=", "503 Service Unavailable", 0},
		{"--persistent --no-reconnect URL", 2, "=", "can't be used together", 0},
		{"--persistent -n 1 --timeout 10s " + refused(t), 3, "=", "(connection refused); reconnecting in", 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			server := serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if requests++; requests == 1 {
					w.Header().Set("Retry-After", "10")
					http.Error(w, "starting", http.StatusServiceUnavailable)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: ready\n\n")
			}))
			defer server.Close()
			began := time.Now()
			args := strings.Fields("tail " + strings.ReplaceAll(row.args, "URL", server.URL))
			command(t, "", args...).check(t, row.code, row.out, row.err)
			if took := time.Since(began); took < row.took {
				t.Errorf("%s: took %v, want at least %v", row.args, took, row.took)
			}
		})
	}
}
