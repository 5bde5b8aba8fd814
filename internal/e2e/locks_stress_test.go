package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/lockstress"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// Sixteen sessions at three processes take random steps at four locks for 10 s, see package
// lockstress.
func TestLocksStress(t *testing.T) {
	onBrokers(t, func(t *testing.T, open func() (backplane.Log, backplane.Store)) {
		s := &lockstress.Stress{Seed: 1, Fail: t.Errorf, Pause: func(*rand.Rand) {}}
		for range 3 {
			_, store := open()
			tracker := &presence.Tracker{Key: []byte("one"), Store: store, Grace: time.Second, Lease: time.Minute}
			t.Cleanup(func() { tracker.Close() })
			table := &locks.Table[int]{Presence: tracker}
			t.Cleanup(func() { table.Close() })
			s.Processes = append(s.Processes, lockstress.Process{Tracker: tracker, Table: table})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s.Run(ctx)
		s.AwaitFree(patience)
		t.Logf("%d steps", s.Steps)
	})
}
