package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// nodes are processes that use a cluster of servers, each beside one of them, and
// what these have said.
type nodes struct {
	*cluster

	nodes [3]*seen // the newest of each place
	all   []*seen
}

// seen is what one process has said.
type seen struct {
	*process

	name    string
	changed chan struct{}

	mu       sync.Mutex
	entries  []string
	seqs     []uint64
	added    []string
	closed   []string
	unknown  int
	unsent   int
	slowest  time.Duration     // of those that failed
	swapped  uint64            // newest revision of its record
	records  map[string]uint64 // newest revisions, of all
	leaders  string
	done     bool
	listens  bool
	failures []string
	killed   bool

	lastEntry, lastAdded, lastSwap    time.Time
	entryStall, addedStall, swapStall time.Duration
}

// startNodes starts three servers at the addresses given, and a process beside each.
func startNodes(t *testing.T, networks, hosts [3]string) *nodes {
	t.Helper()
	n := &nodes{cluster: startCluster(t, networks[:], hosts[:])}
	for i := range n.nodes {
		n.startNode(i)
	}
	return n
}

// startNode starts a process, which follows the log from its beginning.
func (n *nodes) startNode(i int) {
	s := newSeen(fmt.Sprintf("n%d", len(n.all)))
	s.process = spawn(n.t, n.networks[i], "node", nodeConfig{s.name, n.urls(i), "faults"}, s.line)
	n.nodes[i] = s
	n.all = append(n.all, s)
}

func newSeen(name string) *seen {
	return &seen{name: name, changed: make(chan struct{}, 1), records: make(map[string]uint64)}
}

// line takes a line that playNode or playHub describes.
func (s *seen) line(line string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	stall := func(last *time.Time, longest *time.Duration) {
		if !last.IsZero() {
			*longest = max(*longest, now.Sub(*last))
		}
		*last = now
	}
	words := strings.SplitN(line, " ", 3)
	switch words[0] {
	case "entry":
		seq, _ := strconv.ParseUint(words[1], 10, 64)
		s.seqs, s.entries = append(s.seqs, seq), append(s.entries, words[2])
		stall(&s.lastEntry, &s.entryStall)
	case "closed":
		s.closed = append(s.closed, words[1])
	case "added":
		s.added = append(s.added, words[1])
		stall(&s.lastAdded, &s.addedStall)
	case "unknown", "unsent":
		if words[0] == "unknown" {
			s.unknown++
		} else {
			s.unsent++
		}
		if len(words) > 2 {
			took, _ := time.ParseDuration(words[2])
			s.slowest = max(s.slowest, took)
		}
	case "listening":
		s.listens = true
	case "swapped":
		s.swapped, _ = strconv.ParseUint(words[1], 10, 64)
		stall(&s.lastSwap, &s.swapStall)
	case "record":
		s.records[words[1]], _ = strconv.ParseUint(words[2], 10, 64)
	case "leaders":
		s.leaders = line
	case "done":
		s.done = true
	default:
		s.failures = append(s.failures, line)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// until waits until a condition on the output of the process holds.
func (s *seen) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	late := time.After(faultPatience)
	for {
		s.mu.Lock()
		ok, failures := condition(), s.failures
		s.mu.Unlock()
		switch {
		case len(failures) > 0:
			t.Fatalf("%s: %q", s.name, failures)
		case ok:
			return
		}
		select {
		case <-s.changed:
		case <-s.ended:
			t.Fatalf("%s, %s: the process has ended", s.name, what)
		case <-late:
			t.Fatalf("%s, %s: not within %v; it has %d entries, %d added, %d unknown", s.name, what, faultPatience, len(s.entries), len(s.added), s.unknown)
		}
	}
}

func (n *nodes) sayAll(format string, args ...any) {
	for _, s := range n.nodes {
		s.say(format, args...)
	}
}

// growing waits until every process has appended n more entries and has been
// told of them.
func (n *nodes) growing(more int) {
	n.t.Helper()
	for _, s := range n.nodes {
		s.mu.Lock()
		added, entries := len(s.added), len(s.entries)
		s.mu.Unlock()
		s.until(n.t, "more entries", func() bool { return len(s.added) >= added+more && len(s.entries) >= entries+more })
	}
}

// leaders returns the places of the servers that lead the log and the store.
func (n *nodes) leaders() (log, store int) {
	n.t.Helper()
	s := n.nodes[0]
	s.mu.Lock()
	s.leaders = ""
	s.mu.Unlock()
	s.say("leaders")
	s.until(n.t, "leaders", func() bool { return s.leaders != "" })
	if _, err := fmt.Sscanf(s.leaders, "leaders server%d server%d", &log, &store); err != nil {
		n.t.Fatalf("%q: %v", s.leaders, err)
	}
	return log, store
}

// killNode kills a process; what it was told of till then still counts.
func (n *nodes) killNode(i int) {
	n.nodes[i].kill()
	n.nodes[i].killed = true
}

// settle stops the writers, waits until everybody has everything, and compares.
func (n *nodes) settle() {
	n.t.Helper()
	n.sayAll("stop")
	var added []string
	for _, s := range n.nodes {
		s.until(n.t, "the end of its writers", func() bool { return s.done })
	}
	last := make(map[string]uint64)
	for _, s := range n.all {
		added = append(added, s.added...)
		last[s.name] = s.swapped
	}
	var want []string
	for i, s := range n.nodes {
		s.until(n.t, "all that was added", func() bool { return containsAll(s.entries, added) })
		s.until(n.t, "all records", func() bool {
			for name, rev := range last {
				if rev > s.records[name] {
					return false
				}
			}
			return true
		})
		s.mu.Lock()
		if i == 0 {
			want = s.entries
		}
		n.check(s, want)
		s.mu.Unlock()
	}
	unknown := 0
	for _, s := range n.all {
		if s.killed {
			n.check(s, want[:min(len(want), len(s.entries))])
		}
		unknown += s.unknown
	}
	n.t.Logf("%d entries in all, %d added, %d times it was not known", len(want), len(added), unknown)
}

// check compares what a process has seen.
func (n *nodes) check(s *seen, want []string) {
	n.t.Helper()
	if len(s.entries) != len(want) {
		n.t.Fatalf("%s has %d entries, want %d", s.name, len(s.entries), len(want))
	}
	next := make(map[string]int)
	for i, e := range s.entries {
		if e != want[i] {
			n.t.Fatalf("%s: entry %d is %s, elsewhere %s", s.name, i, e, want[i])
		}
		if s.seqs[i] != uint64(i)+1 { //nolint:gosec // an index
			n.t.Fatalf("%s: entry %d has number %d", s.name, i, s.seqs[i])
		}
		writer, number, _ := strings.Cut(e, "-")
		if number != strconv.Itoa(next[writer]) {
			n.t.Fatalf("%s: entry %s where %d is next", s.name, e, next[writer])
		}
		next[writer]++
	}
}

func containsAll(list, of []string) bool {
	if len(list) < len(of) {
		return false
	}
	has := make(map[string]bool, len(list))
	for _, s := range list {
		has[s] = true
	}
	for _, s := range of {
		if !has[s] {
			return false
		}
	}
	return true
}

// stalls forgets the longest pauses so far, or returns them.
func (n *nodes) stalls() string {
	var entry, added, swap time.Duration
	for _, s := range n.nodes {
		s.mu.Lock()
		entry, added, swap = max(entry, s.entryStall), max(added, s.addedStall), max(swap, s.swapStall)
		s.entryStall, s.addedStall, s.swapStall = 0, 0, 0
		s.mu.Unlock()
	}
	ms := time.Millisecond
	return fmt.Sprintf("the longest pauses: followers %v, appending %v, swapping %v", entry.Truncate(ms), added.Truncate(ms), swap.Truncate(ms))
}
