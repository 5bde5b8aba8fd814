// Package logtest is what every [backplane.Log] and [backplane.Store] must pass.
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
// The tests run side by side. None of them takes for granted that a broker is
// quick: they wait a minute for what must come, and longer for nothing.
package logtest

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse/backplane"
)

// patience is how long a test waits for what must come: brokers elect leaders,
// and machines are busy.
const patience = time.Minute

// An Open returns a new handle on the log of that name, as another process
// would open it; the log is made if there is none. It keeps as many entries as
// history says, 0: 10,000 at least. It fails the test if it cannot.
type Open func(t testing.TB, name string, history int) backplane.Log

// An OpenStore returns a new handle on the store of that name, as another
// process would open it; the store is made if there is none. It fails the test
// if it cannot.
type OpenStore func(t testing.TB, name string) backplane.Store

// Run tests logs.
func Run(t *testing.T, open Open) { run(t, parallel, open, logTests) }

// RunFake is [Run] in bubbles of [synctest], where time is fake: for logs that
// use no network, files or processes.
func RunFake(t *testing.T, open Open) { run(t, synctest.Test, open, logTests) }

// RunStore tests stores.
func RunStore(t *testing.T, open OpenStore) { run(t, parallel, open, storeTests) }

// RunStoreFake is [RunStore] in bubbles of [synctest], where time is fake: for
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

// expect fails the test unless the condition comes true within patience. It is
// asked again whenever changed, which guards what it looks at, says so.
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
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
