package locks_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/lockstress"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

var stressSeeds = flag.Uint64("stress.seeds", 20, "number of seeds of the test of random steps in fake time")

// Sixteen sessions at three processes take random steps at four locks, while requests and
// news take up to a time: no fence has two holders, fences only grow in all that is returned
// and reported, Check never passes for a fence that was overtaken, and nothing is left.
func TestStress(t *testing.T) {
	const ms = time.Millisecond
	seeds := *stressSeeds
	if testing.Short() {
		seeds = min(seeds, 10)
	}
	for _, tt := range []struct {
		name string
		most lag
	}{{"quick", lag{5 * ms, 20 * ms, 0}}, {"late", lag{200 * ms, 3_000 * ms, 0}}} {
		for seed := range seeds {
			t.Run(fmt.Sprint(tt.name, " ", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &lockstress.Stress{Seed: seed, Fail: t.Errorf, Pause: func(random *rand.Rand) {
						time.Sleep(time.Duration(random.Int64N(int64(2 * tt.most.writes)))) // fake
					}}
					memory := new(backplane.Memory)
					for i := range uint64(3) {
						tracker := &presence.Tracker{Key: []byte("key"), Store: newLagStore(memory, 3*seed+i, tt.most), Grace: grace, Lease: lease}
						defer tracker.Close()
						table := &locks.Table[int]{Presence: tracker}
						defer table.Close()
						s.Processes = append(s.Processes, lockstress.Process{Tracker: tracker, Table: table})
					}
					ctx, cancel := context.WithTimeout(t.Context(), 40*tt.most.writes+2*time.Second)
					defer cancel()
					s.Run(ctx)
					s.AwaitFree(time.Minute)
					if s.Steps < 100 {
						t.Errorf("got %d steps, want at least 100", s.Steps)
					}
				})
			})
		}
	}
}

// Without a store, too, in one process and in real time.
func TestStressOfOneProcess(t *testing.T) {
	tracker := new(presence.Tracker)
	table := &locks.Table[int]{Presence: tracker}
	defer table.Close()
	s := &lockstress.Stress{Seed: 1, Fail: t.Errorf, Pause: func(*rand.Rand) {}, Processes: []lockstress.Process{{Tracker: tracker, Table: table}}}
	limit := 10 * time.Second
	if testing.Short() {
		limit = time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s.Run(ctx)
	s.AwaitFree(time.Minute)
	t.Logf("%d steps in %v", s.Steps, limit)
}
