package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hubs are three processes with a hub each, and what they have said.
type hubs struct {
	t      *testing.T
	config [3]hubConfig
	nodes  [3]*seen // the newest of each place
	all    []*seen
	greets int
}

// startHubs starts a process for each of the settings given, and has each dispatch
// an event to every set, so that there is a place to begin at.
func startHubs(t *testing.T, config [3]hubConfig) *hubs {
	t.Helper()
	h := &hubs{t: t, config: config}
	for i := range h.nodes {
		h.config[i].Addr = "127.0.0.1:" + strconv.Itoa(freePort(t))
		h.config[i].Wait = faultPatience
		if h.config[i].Attempt == 0 {
			h.config[i].Attempt = 5 * time.Second
		}
		h.start(i)
	}
	for _, s := range h.nodes {
		s.until(t, "listening", func() bool { return s.listens })
	}
	h.hello()
	return h
}

// natsHubs is startHubs for three processes on the servers of a cluster.
func natsHubs(t *testing.T, c *cluster, config hubConfig) *hubs {
	t.Helper()
	var all [3]hubConfig
	for i := range all {
		all[i] = config
		all[i].Servers = c.urls(i)
	}
	return startHubs(t, all)
}

func (h *hubs) start(i int) {
	s := newSeen(fmt.Sprintf("n%d", len(h.all)))
	h.config[i].Name = s.name
	s.process = spawn(h.t, "", "hub", h.config[i], s.line)
	h.nodes[i] = s
	h.all = append(h.all, s)
}

func (h *hubs) addrs() (list []string) {
	for _, c := range h.config {
		list = append(list, c.Addr)
	}
	return list
}

func (h *hubs) sayAll(line string) {
	for _, s := range h.nodes {
		s.say("%s", line)
	}
}

// hello has every process dispatch an event to every set, and returns them.
func (h *hubs) hello() (all []string) {
	h.t.Helper()
	h.greets++
	for _, s := range h.nodes {
		s.say("hello hello%d", h.greets)
		s.until(h.t, "hello", func() bool {
			mine := s.greetings(h.greets)
			if len(mine) == len(hubSets) {
				all = append(all, mine...)
				return true
			}
			return false
		})
	}
	return all
}

func (s *seen) greetings(greets int) (list []string) {
	for _, data := range s.added {
		if strings.Contains(data, fmt.Sprintf(".hello%d.", greets)) {
			list = append(list, data)
		}
	}
	return list
}

// growing waits until each process has dispatched, and each client has seen, so
// many more events.
func (h *hubs) growing(a *audience, more int) {
	h.t.Helper()
	wait := a.growing(more)
	var goals [3]int
	for i, s := range h.nodes {
		s.mu.Lock()
		goals[i] = len(s.added) + more
		s.mu.Unlock()
	}
	for i, s := range h.nodes {
		s.until(h.t, "more events", func() bool { return len(s.added) >= goals[i] })
	}
	wait()
}

// settle stops the writers and waits until each client has what it should have,
// which is all that was acknowledged unless there may be gaps, and then what is
// dispatched after the last. What is there twice, in another order, or with a hole,
// has been noticed.
func (h *hubs) settle(a *audience) {
	h.t.Helper()
	h.sayAll("stop")
	for _, s := range h.nodes {
		s.until(h.t, "the end of its writers", func() bool { return s.done })
	}
	all := h.hello()
	unknown, unsent := 0, 0
	for _, s := range h.all {
		s.mu.Lock()
		unknown, unsent = unknown+s.unknown, unsent+s.unsent
		if !a.gaps {
			all = append(all, s.added...)
		}
		s.mu.Unlock()
	}
	last := make(map[string]map[string]int) // by set and writer
	for _, data := range all {
		set, _, _ := strings.Cut(data, ":")
		writer, number, _ := strings.Cut(data, "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			h.t.Fatal(err)
		}
		if last[set] == nil {
			last[set] = make(map[string]int)
		}
		last[set][writer] = max(last[set][writer], n)
	}
	a.until("it has all that was acknowledged", func(l *listener) bool {
		for _, set := range l.sets {
			for writer, number := range last[set] {
				if l.next[writer] <= number && !early(writer) {
					return false
				}
			}
		}
		return true
	})
	a.leave()
	select {
	case failure := <-a.failed:
		h.t.Fatal(failure)
	default:
	}
	// Who has seen more of a writer that was killed has seen it alone.
	most := a.most()
	for _, l := range a.listeners {
		for writer, want := range most {
			set, _, _ := strings.Cut(writer, ":")
			if slices.Contains(l.sets, set) && l.next[writer] != want && !early(writer) && !a.gaps {
				h.t.Errorf("a client of %v has %d events of %s, others %d", l.sets, l.next[writer], writer, want)
			}
		}
	}
	h.t.Logf("%d events acknowledged, %d attempts unknown, %d not sent; %d clients made %d visits, %d were cut short", len(all), unknown, unsent, len(a.listeners), a.visits, a.broken)
}

// most returns how many events of each writer anybody has seen.
func (a *audience) most() map[string]int {
	most := make(map[string]int)
	for _, l := range a.listeners {
		for writer, next := range l.next {
			most[writer] = max(most[writer], next)
		}
	}
	return most
}

// early reports whether a writer has written before there were clients.
func early(writer string) bool { return strings.Contains(writer, ".hello1.") }
