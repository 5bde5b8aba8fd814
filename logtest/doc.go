// Package logtest tests implementations of [backplane.Log] and [backplane.Store]: every
// implementation must pass these tests.
//
//	func TestLog(t *testing.T) {
//		logtest.Run(t, func(t testing.TB, name string, history int) backplane.Log {
//			l, err := mylog.Open(t.Context(), address, name, &mylog.Options{History: history})
//			if err != nil {
//				t.Fatal(err)
//			}
//			return l
//		})
//	}
//
// The tests run in parallel. They do not depend on a fast broker: they wait up to a minute
// for what must happen.
package logtest

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/backplane"
)

// patience is how long a test waits for what must happen: brokers elect leaders, and
// machines are busy.
const patience = time.Minute

// An Open returns a new handle on the log of the given name, as another process would open
// it; the log is created if it does not exist. The log keeps history entries; 0: at least
// 10,000. Open fails the test on an error.
type Open func(t testing.TB, name string, history int) backplane.Log

// An OpenStore returns a new handle on the store of the given name, as another process
// would open it; the store is created if it does not exist. OpenStore fails the test on an
// error.
type OpenStore func(t testing.TB, name string) backplane.Store

// Run tests a log.
func Run(t *testing.T, open Open) { run(t, parallel, open, logTests) }

// RunFake is like [Run], in [synctest] bubbles, where time is fake. It is for logs that use
// no network, files or processes.
func RunFake(t *testing.T, open Open) { run(t, synctest.Test, open, logTests) }

// RunStore tests a store.
func RunStore(t *testing.T, open OpenStore) { run(t, parallel, open, storeTests) }

// RunStoreFake is like [RunStore], in [synctest] bubbles, where time is fake. It is for
// stores that use no network, files or processes.
func RunStoreFake(t *testing.T, open OpenStore) { run(t, synctest.Test, open, storeTests) }

type test[O any] struct {
	name string
	run  func(t *testing.T, open O)
}

func run[O any](t *testing.T, in func(*testing.T, func(*testing.T)), open O, tests []test[O]) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(t *testing.T) { tt.run(t, open) })
		})
	}
}

func parallel(t *testing.T, test func(*testing.T)) {
	t.Helper()
	t.Parallel()
	test(t)
}

// unique returns a name that no earlier run has used.
func unique(name string) string { return rand.Text()[:8] + "." + name }

// expect fails the test unless the condition, which reads what c guards, becomes true
// within patience. The condition is evaluated after each change.
func expect(t *testing.T, c *changes, what string, condition func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		c.mu.Lock()
		ok, changed := condition(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("%s: not seen within %v", what, patience)
		}
	}
}
