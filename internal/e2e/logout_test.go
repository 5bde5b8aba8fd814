package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A loginTab is a stream of a user, and of a set that all users are in.
type loginTab struct {
	user string

	mu     sync.Mutex
	placed bool // it has been sent the id to resume from
	logout bool // it was sent that event
	events int  // of the set that all are in
	ended  time.Time
	err    error
}

// openTab opens a stream on a process, until the test's end.
func openTab(t *testing.T, addr, user string) *loginTab {
	t.Helper()
	response, err := http.Get("http://" + addr + "/events?set=a&set=user:" + user)
	if err != nil {
		t.Fatal(err)
	}
	tab := &loginTab{user: user}
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			tab.line(lines.Text())
		}
		tab.mu.Lock()
		defer tab.mu.Unlock()
		tab.ended, tab.err = time.Now(), lines.Err()
	})
	t.Cleanup(func() {
		response.Body.Close()
		reading.Wait()
	})
	return tab
}

func (tab *loginTab) line(line string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch {
	case line == "event: last-event-id":
		tab.placed = true
	case line == "event: logout":
		tab.logout = true
	case len(line) > 6 && line[:6] == "data: ":
		tab.events++
	}
}

// awaitTabs waits until something is true of all tabs of some users.
func awaitTabs(t *testing.T, tabs []*loginTab, what string, is func(*loginTab) bool, users ...string) {
	t.Helper()
	eventually(t, patience, func() string {
		for i, tab := range tabs {
			tab.mu.Lock()
			ok := is(tab)
			tab.mu.Unlock()
			if !ok && slices.Contains(users, tab.user) {
				return fmt.Sprintf("tab %d, of %s: not %s", i, tab.user, what)
			}
		}
		return ""
	})
}

// A logout ends every tab of the user, in three processes, within a second, and nobody
// else's; while the broker is away, as soon as it is back.
func TestLogoutEverywhere(t *testing.T) {
	t.Parallel()
	t.Run("NATS", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t, make([]string, 1), local[:1])
		logoutEverywhere(t, natsHubs(t, c, hubConfig{Attempt: time.Minute}), c.running[0].kill, func() { c.startServer(0) })
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		addr, start, kill := startRedis(t)
		config := hubConfig{Redis: addr, Attempt: time.Minute}
		logoutEverywhere(t, startHubs(t, [3]hubConfig{config, config, config}), kill, start)
	})
}

func logoutEverywhere(t *testing.T, h *hubs, kill, start func()) {
	var tabs []*loginTab
	for _, addr := range h.addrs() {
		for _, user := range []string{"ann", "ann", "ann", "bob", "cyd"} {
			tabs = append(tabs, openTab(t, addr, user))
		}
	}
	awaitTabs(t, tabs, "placed", func(tab *loginTab) bool { return tab.placed }, "ann", "bob", "cyd")
	h.nodes[1].say("close user:ann")
	took := h.loggedOut(t, tabs, "ann", time.Now())
	h.nodes[1].until(t, "the logout", func() bool { return len(h.nodes[1].closed) == 1 })
	t.Logf("9 tabs in 3 processes: the last has ended %v after the logout", took)
	if *full && took > time.Second {
		t.Errorf("the last tab has ended %v after the logout, want 1 s at most", took)
	}

	kill()
	h.nodes[2].say("close user:bob")
	time.Sleep(5 * time.Second) // as long as the broker is away
	for i, tab := range tabs {
		tab.mu.Lock()
		if tab.user == "bob" && !tab.ended.IsZero() {
			t.Errorf("tab %d has ended though the broker is away", i)
		}
		tab.mu.Unlock()
	}
	start()
	took = h.loggedOut(t, tabs, "bob", time.Now())
	h.nodes[2].until(t, "the logout", func() bool { return len(h.nodes[2].closed) == 1 })
	t.Logf("the broker was away: the last tab has ended %v after it was back", took)

	h.hello()
	h.hello()
	awaitTabs(t, tabs, "sent what came later", func(tab *loginTab) bool { return tab.events >= 2*len(h.nodes) }, "cyd")
	for i, tab := range tabs {
		tab.mu.Lock()
		if ended := !tab.ended.IsZero(); ended != (tab.user != "cyd") || ended && (tab.err != nil || !tab.logout) {
			t.Errorf("tab %d, of %s: ended %v, logout event %v, error %v", i, tab.user, ended, tab.logout, tab.err)
		}
		tab.mu.Unlock()
	}
}

// loggedOut waits until all tabs of a user have ended, and returns how long after
// something that was.
func (h *hubs) loggedOut(t *testing.T, tabs []*loginTab, user string, since time.Time) (took time.Duration) {
	t.Helper()
	awaitTabs(t, tabs, "ended", func(tab *loginTab) bool { return !tab.ended.IsZero() }, user)
	for _, tab := range tabs {
		if tab.user == user {
			took = max(took, tab.ended.Sub(since))
		}
	}
	return took.Round(time.Millisecond)
}
