// Package lockstress has several processes do random things to a few locks, and checks all
// that they return and report. It is for the tests of locks, in memory and on real stores.
package lockstress

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

const (
	threads = 16
	keys    = 4
)

// A Process has a table, and the tracker of its sessions.
type Process struct {
	Tracker *presence.Tracker
	Table   *locks.Table[int]
}

// A Stress is one run.
type Stress struct {
	Processes []Process
	Seed      uint64

	// Pause is called after each step.
	Pause func(*rand.Rand)

	// Fail is called with each fault.
	Fail func(format string, args ...any)

	// Steps counts the steps that succeeded.
	Steps int

	mu      sync.Mutex
	holders map[uint64]presence.Session // by fence
	newest  [keys]uint64                // the greatest fence that was returned or reported
	told    []([keys]uint64)            // the newest that each process has reported
}

// Run starts threads, each with a session, and has them take steps until the context ends.
// In the end the sessions leave. Tables must not have been used before.
func (s *Stress) Run(ctx context.Context) {
	s.holders = make(map[uint64]presence.Session)
	s.told = make([][keys]uint64, len(s.Processes))
	for i, p := range s.Processes {
		p.Table.Changed = func(c locks.Change[int]) { s.changed(i, c) }
	}
	var running sync.WaitGroup
	for i := range threads {
		running.Go(func() { s.play(ctx, i) })
	}
	running.Wait()
}

// changed checks a change that a process reports: its fences grow.
func (s *Stress) changed(process int, c locks.Change[int]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Held() {
		return
	}
	told := &s.told[process][c.Key]
	if c.Fence < *told || c.Fence == *told && c.Cause != locks.Queued {
		s.Fail("process %d reports fence %d of lock %d (%s) after %d", process, c.Fence, c.Key, c.Cause, *told)
	}
	*told = max(*told, c.Fence)
	s.seenLocked(c.Lock)
}

// seenLocked checks that a fence has one holder, and remembers it.
func (s *Stress) seenLocked(l locks.Lock[int]) {
	if other, ok := s.holders[l.Fence]; ok && other != l.Holder {
		s.Fail("fence %d of lock %d: held by %v and %v", l.Fence, l.Key, other.User, l.Holder.User)
	}
	s.holders[l.Fence] = l.Holder
	s.newest[l.Key] = max(s.newest[l.Key], l.Fence)
}

// floor returns the greatest fence of a lock that has been returned or reported.
func (s *Stress) floor(key int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest[key]
}

func (s *Stress) play(ctx context.Context, thread int) {
	random := rand.New(rand.NewPCG(s.Seed, uint64(thread))) //nolint:gosec // to be repeated
	p := s.Processes[thread%len(s.Processes)]
	self := presence.Session{User: fmt.Sprint("user", thread), Page: fmt.Sprint("page", thread)}
	r := httptest.NewRequestWithContext(context.WithoutCancel(ctx), "GET", "/", nil)
	source, err := sse.Accept(httptest.NewRecorder(), r, nil)
	if err == nil {
		defer source.Close()
		err = p.Tracker.Connect(source, self)
	}
	if err != nil {
		s.Fail("connect: %v", err)
		return
	}
	var fences [keys]uint64 // that it has got
	for ctx.Err() == nil {
		s.step(context.WithoutCancel(ctx), p.Table, self, random, &fences)
		s.Pause(random)
	}
	p.Tracker.Leave(self)
}

// step does a random thing to a random lock, and checks what is returned.
func (s *Stress) step(ctx context.Context, table *locks.Table[int], self presence.Session, random *rand.Rand, fences *[keys]uint64) {
	key := random.IntN(keys)
	floor := s.floor(key)
	var l locks.Lock[int]
	var err error
	switch what := random.IntN(12); what {
	case 0, 1, 2:
		l, err = table.Take(ctx, self, key)
	case 3:
		l, err = table.Queue(ctx, self, key)
	case 4:
		l, err = table.Steal(ctx, self, key, "a test")
	case 5, 6, 7:
		l, err = table.Release(ctx, self, key)
	case 8:
		l, err = table.Renew(ctx, self, key)
	default:
		if err = table.Check(ctx, self, key, fences[key]); err == nil && fences[key] < floor {
			s.Fail("Check passes for fence %d of lock %d after %d", fences[key], key, floor)
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, locks.ErrHeld), errors.Is(err, locks.ErrNotHeld), errors.Is(err, locks.ErrCutOff), errors.Is(err, locks.ErrAbsent):
	default:
		s.Fail("got error %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.Steps++
	}
	if !l.Held() {
		return
	}
	if l.Fence < floor {
		s.Fail("got fence %d of lock %d after %d, error %v", l.Fence, key, floor, err)
	}
	if l.Holder == self {
		fences[key] = l.Fence
	}
	s.seenLocked(l)
}

// Held returns a description of a lock that a process still shows as held, "" for none.
func (s *Stress) Held() string {
	for i, p := range s.Processes {
		next, stop := iter.Pull(p.Table.All())
		l, held := next()
		stop()
		if held {
			return fmt.Sprintf("process %d: lock %d is held by %s", i, l.Key, l.Holder.User)
		}
	}
	return ""
}

// AwaitFree waits until no process shows a lock as held.
func (s *Stress) AwaitFree(limit time.Duration) {
	for end := time.Now().Add(limit); ; {
		held := s.Held()
		if held == "" {
			return
		}
		if time.Now().After(end) {
			s.Fail("after %v: %s", limit, held)
			return
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}
