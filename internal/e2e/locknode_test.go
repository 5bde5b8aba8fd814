package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse"
	"example.org/sse/internal/sessions"
	"example.org/sse/locks"
	"example.org/sse/natslog"
	"example.org/sse/presence"
)

// A lockConfig is that of a process with a table of locks, and one session.
type lockConfig struct {
	Name    string
	Servers string
	Lease   time.Duration
}

// playLocks says, with times in nanoseconds since 1970:
//
//	ready
//	held KEY FENCE HOW BEGIN END  it has the lock: HOW is take or steal, from when to when that took
//	valid KEY FENCE TIME          what Check says, since when at the latest:
//	cutoff KEY FENCE TIME
//	lost KEY FENCE TIME
//	released KEY FENCE BEGIN END
func playLocks(config []byte, in *bufio.Scanner, out *output) error {
	var c lockConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	nc, err := nats.Connect(c.Servers, append(natslog.ConnOptions(), nats.DontRandomize())...)
	if err != nil {
		return err
	}
	defer nc.Close()
	store, err := natslog.OpenStore(ctx, nc, "locks", nil)
	if err != nil {
		return err
	}
	tracker := &presence.Tracker{Key: []byte("one"), Store: store, Lease: c.Lease, Grace: time.Second}
	defer tracker.Close()
	n := &lockNode{out: out, self: presence.Session{User: c.Name, Page: "1"}}
	n.table = &locks.Table[string]{Presence: tracker, Name: "table"}
	defer n.table.Close()
	source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil), nil)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := tracker.Connect(source, n.self, "room"); err != nil {
		return err
	}
	for !leased(tracker) {
		time.Sleep(10 * time.Millisecond) // until the server has answered
	}
	out.line("ready")
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for in.Scan() {
		switch command := strings.Fields(in.Text()); command[0] {
		case "hold": // KEY: takes the lock when it can, and says what Check says
			running.Go(func() {
				if l, ok := n.acquire(ctx, command[1], "take"); ok {
					n.watch(ctx, l)
				}
			})
		case "contend": // KEY...
			running.Go(func() {
				for ctx.Err() == nil {
					n.round(ctx, command[1+rand.IntN(len(command)-1)])
				}
			})
		}
	}
	return in.Err()
}

// leased reports whether other processes regard a tracker's sessions as present.
func leased(tracker *presence.Tracker) bool {
	var a sessions.Access[presence.Session]
	tracker.Access(&a)
	return a.Leased()
}

// A lockNode is a process that takes locks.
type lockNode struct {
	table *locks.Table[string]
	self  presence.Session
	out   *output
}

// acquire tries until it has the lock.
func (n *lockNode) acquire(ctx context.Context, key, how string) (l locks.Lock[string], ok bool) {
	f := n.table.Take
	if how == "steal" {
		f = func(ctx context.Context, by presence.Session, key string) (locks.Lock[string], error) {
			return n.table.Steal(ctx, by, key, "a test")
		}
	}
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		begin := time.Now()
		l, err := f(attempt, n.self, key)
		cancel()
		switch {
		case err == nil:
			n.out.line("held %s %d %s %d %d", key, l.Fence, how, begin.UnixNano(), time.Now().UnixNano())
			return l, true
		case ctx.Err() == nil && !errors.Is(err, locks.ErrHeld) && !errors.Is(err, locks.ErrCutOff) && !errors.Is(err, locks.ErrAbsent) && !errors.Is(err, context.DeadlineExceeded):
			n.out.line("failed to %s %s: %v", how, key, err)
			return l, false
		}
		time.Sleep(10 * time.Millisecond) // somebody else has it
	}
	return l, false
}

// watch says what Check says of a lock, whenever that changes.
func (n *lockNode) watch(ctx context.Context, l locks.Lock[string]) {
	last := ""
	for ctx.Err() == nil {
		begin := time.Now()
		what := "valid"
		switch err := n.table.Check(ctx, n.self, l.Key, l.Fence); {
		case errors.Is(err, locks.ErrCutOff):
			what = "cutoff"
		case err != nil:
			what = "lost"
		}
		if what != last || what == "valid" {
			n.out.line("%s %s %d %d", what, l.Key, l.Fence, begin.UnixNano())
		}
		last = what
		time.Sleep(10 * time.Millisecond) // how fine it is
	}
}

// round takes or steals a lock, and releases it, perhaps.
func (n *lockNode) round(ctx context.Context, key string) {
	how := "take"
	if rand.IntN(4) == 0 {
		how = "steal"
	}
	l, ok := n.acquire(ctx, key, how)
	if !ok {
		return
	}
	time.Sleep(rand.N(10 * time.Millisecond)) // the time of an edit
	attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	begin := time.Now()
	_, err := n.table.Release(attempt, n.self, key)
	switch {
	case err == nil:
		n.out.line("released %s %d %d %d", key, l.Fence, begin.UnixNano(), time.Now().UnixNano())
	case ctx.Err() == nil && !errors.Is(err, locks.ErrNotHeld) && !errors.Is(err, locks.ErrCutOff) && !errors.Is(err, context.DeadlineExceeded):
		n.out.line("failed to release %s: %v", key, err)
	}
}

// A lockLine is what playLocks has said.
type lockLine struct {
	what, key  string
	fence      uint64
	how        string
	begin, end time.Time
}

func parseLockLine(line string) (l lockLine, err error) {
	words := strings.Fields(line)
	if len(words) < 4 {
		return l, fmt.Errorf("it says %q", line)
	}
	l.what, l.key = words[0], words[1]
	var begin, end int64
	switch l.what {
	case "held":
		_, err = fmt.Sscan(strings.Join(words[2:], " "), &l.fence, &l.how, &begin, &end)
	case "released":
		_, err = fmt.Sscan(strings.Join(words[2:], " "), &l.fence, &begin, &end)
	case "valid", "cutoff", "lost":
		_, err = fmt.Sscan(strings.Join(words[2:], " "), &l.fence, &begin)
	default:
		err = fmt.Errorf("it says %q", line)
	}
	l.begin, l.end = time.Unix(0, begin), time.Unix(0, end)
	return l, err
}
