package e2e

import (
	"testing"
	"time"
)

var local = [3]string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}

// Three processes with two writers each see one order, which is each writer's
// own as well; nothing is lost, and nothing comes twice.
func TestNodesOrder(t *testing.T) {
	t.Parallel()
	count := 1_000
	if *full {
		count = 100_000 / 6
	}
	n := startNodes(t, [3]string{}, local)
	begin := time.Now()
	n.sayAll("write 2 %d 0s", count)
	for _, s := range n.nodes {
		s.until(t, "its writers' end", func() bool { return s.done })
	}
	took := time.Since(begin)
	n.settle()
	t.Logf("%d entries in %v, %.0f a second", 6*count, took, float64(6*count)/took.Seconds())
}

// Processes and servers are killed, and what was acknowledged is everywhere.
func TestNodesKilled(t *testing.T) {
	t.Parallel()
	n := startNodes(t, [3]string{}, local)
	n.sayAll("write 2 -1 10ms")
	n.growing(100)
	rounds := 1
	if *full {
		rounds = 5
	}
	for range rounds {
		n.stalls()
		n.killNode(1)
		n.startNode(1)
		n.nodes[1].say("write 2 -1 10ms")
		n.growing(200)
		t.Log("process: ", n.stalls())
		for _, victim := range []string{"leads the log", "leads the records", "leads neither"} {
			if victim == "leads neither" && !*full {
				break // TestHubsKilled does it
			}
			log, store := n.leaders()
			i := map[string]int{"leads the log": log, "leads the records": store}[victim]
			if victim == "leads neither" {
				for i == log || i == store {
					i++
				}
			}
			n.stalls()
			n.running[i].kill()
			n.growing(200)
			t.Logf("server that %s: %s", victim, n.stalls())
			n.startServer(i)
			n.growing(200)
		}
		if !*full {
			break
		}
		n.stalls()
		for _, p := range n.running {
			p.kill()
		}
		for i := range n.running {
			n.startServer(i)
		}
		n.growing(200)
		t.Log("all servers at once: ", n.stalls())
	}
	n.settle()
}

// The network falls apart for a while, and grows together again.
func TestNodesPartitioned(t *testing.T) {
	t.Parallel()
	duration, rounds := 6*time.Second, 1
	if *full {
		duration, rounds = 20*time.Second, 4
	}
	net := layBridge(t)
	n := startNodes(t, net.names, net.hosts)
	n.sayAll("write 2 -1 10ms")
	n.growing(100)
	for round := range rounds {
		for _, kind := range []string{"the log's leader alone", "another alone", "the log's leader and another apart"} {
			if kind == "another alone" && !*full {
				continue
			}
			leader, _ := n.leaders()
			other := (leader + 1 + round%2) % 3
			n.stalls()
			var heal func()
			switch kind {
			case "the log's leader alone":
				heal = net.isolate(leader)
			case "another alone":
				heal = net.isolate(other)
			default:
				heal = net.separate(leader, other)
			}
			time.Sleep(duration) // while it lasts
			heal()
			begin := time.Now()
			n.growing(200)
			t.Logf("%s for %v: all go on after %v; %s", kind, duration, time.Since(begin).Truncate(time.Millisecond), n.stalls())
		}
	}
	n.settle()
}
