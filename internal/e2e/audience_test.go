package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// An audience is clients of several processes. It fails as soon as one is sent
// what it should not be.
type audience struct {
	t       *testing.T
	addrs   []string // of the processes
	gaps    bool     // there may be some
	late    bool     // it comes after the first events
	http    *http.Client
	cancel  context.CancelFunc
	running sync.WaitGroup
	failed  chan string // has room for one

	mu        sync.Mutex
	data      map[backplane.Cursor]string // of all events
	listeners []*listener
	behind    int           // who have not reached their goals
	reached   chan struct{} // closed when all have
	visits    int
	broken    int // visits that the client has not ended
}

// A listener is one client. What is below stay is guarded by audience.mu.
type listener struct {
	*audience

	sets []string
	home int           // the process that it goes to; negative: any
	stay time.Duration // at most; 0: for ever

	id        string // to resume after
	pos       uint64 // the number of that event in the log; 0: not known
	next      map[string]int
	exact     map[string]bool // by set: the numbers of its writers go on without a hole
	begun     bool
	told      map[string]int // of gaps, by type
	events    int
	goal      int
	visited   int
	commented int
	last      time.Time
	stall     time.Duration
}

func newAudience(t *testing.T, addrs []string) *audience {
	t.Helper()
	a := &audience{t: t, addrs: addrs, failed: make(chan string, 1), data: make(map[backplane.Cursor]string), cancel: func() {}}
	a.http = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(a.leave)
	return a
}

// add adds a listener to those that come.
func (a *audience) add(home int, stay time.Duration, sets ...string) *listener {
	l := &listener{audience: a, sets: sets, home: home, stay: stay, next: make(map[string]int), exact: make(map[string]bool), told: make(map[string]int)}
	for _, set := range sets {
		l.exact[set] = true
	}
	a.listeners = append(a.listeners, l)
	return l
}

// come has the listeners come, and waits until each knows where the log is.
func (a *audience) come() {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	a.cancel = cancel
	for _, l := range a.listeners {
		a.running.Go(func() { l.run(ctx) })
	}
	a.until("all are there", func(l *listener) bool { return l.pos > 0 })
}

func (a *audience) leave() {
	a.cancel()
	a.running.Wait()
}

// run goes from process to process.
func (l *listener) run(ctx context.Context) {
	for ctx.Err() == nil {
		if l.visit(ctx) {
			time.Sleep(50 * time.Millisecond) // nobody listens there just now, perhaps
		}
	}
}

// visit reports whether it was not the client that ended it.
func (l *listener) visit(all context.Context) (broken bool) {
	home := l.home
	if home < 0 {
		home = rand.IntN(len(l.addrs))
	}
	ctx, cancel := context.WithCancel(all)
	if l.stay > 0 {
		ctx, cancel = context.WithTimeout(all, l.stay/10+rand.N(l.stay))
	}
	defer cancel()
	client := sse.Client{
		URL:         "http://" + l.addrs[home] + "/events?" + url.Values{"set": l.sets}.Encode(),
		HTTPClient:  l.http,
		ResumeAfter: l.id,
		Retry:       -1,
		OnComment: func(string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.commented++
		},
	}
	for e, err := range client.Events(ctx) {
		if refused, ok := errors.AsType[*sse.ResponseError](err); ok {
			l.fail("%v", refused)
		}
		if err == nil && ctx.Err() == nil { // else it might come again
			l.take(e)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.visited++
	l.visits++
	if broken = ctx.Err() == nil; broken {
		l.broken++
	}
	return broken
}

func (l *listener) fail(format string, args ...any) {
	select {
	case l.failed <- fmt.Sprintf("a client of %v after %s: ", l.sets, l.id) + fmt.Sprintf(format, args...):
	default: // there was one before
	}
}

// growing returns a function that waits until every listener has so many more
// events than now.
func (a *audience) growing(more int) (wait func()) {
	a.mu.Lock()
	for _, l := range a.listeners {
		l.goal = l.events + more
	}
	a.behind, a.reached = len(a.listeners), make(chan struct{})
	reached := a.reached
	a.mu.Unlock()
	return func() {
		a.t.Helper()
		select {
		case <-reached:
		case failure := <-a.failed:
			a.t.Fatal(failure)
		case <-time.After(faultPatience):
			a.mu.Lock()
			defer a.mu.Unlock()
			a.t.Fatalf("%d of %d clients have not got %d more events", a.behind, len(a.listeners), more)
		}
	}
}

// until waits until a condition holds for all listeners. It is asked under a.mu.
func (a *audience) until(what string, condition func(l *listener) bool) {
	a.t.Helper()
	for late := time.Now().Add(faultPatience); ; {
		missing := 0
		a.mu.Lock()
		for _, l := range a.listeners {
			if !condition(l) {
				missing++
			}
		}
		a.mu.Unlock()
		if missing == 0 {
			return
		}
		if time.Now().After(late) {
			a.t.Fatalf("%s: not so for %d of %d clients", what, missing, len(a.listeners))
		}
		select {
		case failure := <-a.failed:
			a.t.Fatal(failure)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stalls forgets the longest pauses so far, or returns them.
func (a *audience) stalls() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var longest time.Duration
	for _, l := range a.listeners {
		longest, l.stall = max(longest, l.stall), 0
	}
	return longest.Truncate(time.Millisecond)
}

// through reports whether the listener has so many events of a process's writers.
func (l *listener) through(process string, count int) bool {
	for i, set := range hubSets {
		if slices.Contains(l.sets, set) && l.next[fmt.Sprintf("%s:%s.%d", set, process, i)] < count {
			return false
		}
	}
	return true
}

// keptAlive waits until each listener that stays has received n more keep-alives.
func (a *audience) keptAlive(n int) {
	a.t.Helper()
	goals := make(map[*listener]int)
	a.mu.Lock()
	for _, l := range a.listeners {
		goals[l] = l.commented + n
	}
	a.mu.Unlock()
	a.until("it is kept alive", func(l *listener) bool { return l.stay > 0 || l.commented >= goals[l] })
}

// earlier returns the id of an event that so many have followed.
func (a *audience) earlier(events int) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	newest := uint64(0)
	for c := range a.data {
		newest = max(newest, c.Seq)
	}
	for c := range a.data {
		if c.Seq == newest-uint64(events) { //nolint:gosec // a few
			return c.String()
		}
	}
	a.t.Fatalf("there are no %d events", events)
	return ""
}
