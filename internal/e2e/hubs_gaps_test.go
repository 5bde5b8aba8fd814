package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse"
)

// A process that was stopped for a while catches up, or its clients are told that
// they have missed something, if the log does not reach back so far.
func TestHubsStoppedProcess(t *testing.T) {
	t.Parallel()
	const history = 300
	for _, tt := range []struct {
		name   string
		events int // of each of two writers
		gap    bool
	}{
		{"within the history", history / 3, false},
		{"beyond it", 10 * history, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, make([]string, 1), local[:1])
			h := natsHubs(t, c, hubConfig{History: history})
			near, far := newAudience(t, h.addrs()), newAudience(t, h.addrs())
			far.gaps = tt.gap
			for i := range 6 {
				near.add(i%2, 0, [][]string{hubSets, hubSets[:1], hubSets[1:]}[i/2]...)
				far.add(2, 0, [][]string{hubSets, hubSets[:1], hubSets[1:]}[i/2]...)
			}
			near.come()
			far.come()
			h.hello()
			h.nodes[2].stop(t)
			h.nodes[0].say("write 2 %d 0s", tt.events)
			near.until("it has all", func(l *listener) bool { return l.through("n0", tt.events) })
			h.nodes[2].cmd.Process.Signal(syscall.SIGCONT)
			begin := time.Now()
			if tt.gap {
				far.until("it was told", func(l *listener) bool {
					return l.told["gap"] >= count(l.sets, "a") && l.told["state"] >= count(l.sets, "s")
				})
			} else {
				far.until("it has all", func(l *listener) bool { return l.through("n0", tt.events) })
			}
			t.Logf("%v after it goes on", time.Since(begin))
			h.nodes[1].say("write 0 0 0s")
			h.nodes[2].say("write 0 0 0s")
			h.settle(far)
			h.settle(near)
			for _, l := range append(near.listeners, far.listeners...) {
				if l.visited != 1 {
					t.Errorf("a client came %d times", l.visited)
				}
			}
		})
	}
}

// An id that is not the log's, or that a process does not reach back to, leads to a
// gap, and then on from the present.
func TestHubsForgedID(t *testing.T) {
	t.Parallel()
	c := startCluster(t, make([]string, 1), local[:1])
	h := natsHubs(t, c, hubConfig{History: 20})
	a := newAudience(t, h.addrs())
	a.add(0, 0, hubSets...)
	a.add(1, 0, hubSets...)
	a.come()
	h.nodes[0].say("write 2 50 0s")
	a.until("it has all", func(l *listener) bool { return l.through("n0", 50) })
	h.nodes[2].kill()
	h.start(2) // knows what the log has kept
	h.nodes[2].until(t, "listening", func() bool { return h.nodes[2].listens })
	old, newest := a.earlier(50), a.earlier(0)
	number, _, _ := strings.Cut(newest, ".")
	for _, tt := range []struct {
		name, id string
		node     int
		gap      bool
		wait     time.Duration
	}{
		{"another nonce", number + ".1", 0, true, 0},
		{"another nonce", number + ".1", 2, true, 0},
		{"beyond the end", "zzz.1", 1, true, 10 * time.Second},
		{"far beyond", "3w5e11264sgse.1", 2, true, 10 * time.Second},
		{"of a log in memory", "abc-12", 0, true, 0},
		{"nonsense", "nonsense", 2, true, 0},
		{"before the history", old, 2, true, 0},
		{"before the log's history, but not this process's", old, 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			client := sse.Client{URL: "http://" + h.config[tt.node].Addr + "/events?set=a", ResumeAfter: tt.id}
			var got []string
			for e, err := range client.Events(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, e.Type+" "+e.ID); e.ID == newest || !tt.gap {
					break
				}
			}
			if want := "gap " + newest; tt.gap && strings.Join(got, ", ") != want {
				t.Errorf("got %v, want %s", got, want)
			}
			if !tt.gap && !strings.HasPrefix(got[0], "message") {
				t.Errorf("got %v", got)
			}
			if took := time.Since(begin); took < tt.wait {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A program whose broker cannot be reached is told so, and when it has read
// nothing yet it is not ready.
func TestHubsNoBroker(t *testing.T) {
	t.Parallel()
	s := newSeen("n0")
	s.process = spawn(t, "", "hub", hubConfig{Servers: "nats://127.0.0.1:1", Wait: 2 * time.Second}, s.line)
	<-s.ended
	if want := "failed to open the log: natslog: "; len(s.failures) != 1 || !strings.HasPrefix(s.failures[0], want) || !strings.Contains(s.failures[0], nats.ErrNoServers.Error()) && !strings.Contains(s.failures[0], "RECONNECTING") {
		t.Errorf("it says %q, want %q and why", s.failures, want)
	}
}
