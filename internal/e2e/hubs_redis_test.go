package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startRedis returns what starts a Redis server, and once more what is there
// already, and what kills it. It keeps what it is told on disk.
func startRedis(t *testing.T) (addr string, start, kill func()) {
	t.Helper()
	skipShort(t)
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no redis-server")
		}
		t.Skip("there is no redis-server; with apt: apt-get install redis-server")
	}
	port, dir := strconv.Itoa(freePort(t)), t.TempDir()
	addr = net.JoinHostPort("127.0.0.1", port)
	var cmd *exec.Cmd
	start = func() {
		cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close()
		for late := time.Now().Add(patience); client.Ping(t.Context()).Err() != nil; {
			if time.Now().After(late) {
				t.Fatal("the server does not start")
			}
			time.Sleep(10 * time.Millisecond) // until it listens
		}
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	start()
	t.Cleanup(func() { kill() })
	return addr, start, kill
}

// On Redis, too, clients get each event once while the server and processes are
// killed.
func TestHubsRedisKilled(t *testing.T) {
	t.Parallel()
	addr, start, kill := startRedis(t)
	h := startHubs(t, [3]hubConfig{{Redis: addr}, {Redis: addr}, {Redis: addr}})
	a := newAudience(t, h.addrs())
	clients, rounds := 60, 2
	if *full {
		clients, rounds = 300, 20
	}
	for i := range clients {
		a.add(-1, 2*time.Second, [][]string{hubSets, hubSets[:1], hubSets[1:]}[i%3]...)
	}
	a.come()
	h.sayAll("write 2 -1 50ms")
	for i := range rounds {
		h.growing(a, 20)
		a.stalls()
		h.nodes[i%3].kill()
		h.start(i % 3)
		h.nodes[i%3].say("write 2 -1 50ms")
		h.growing(a, 20)
		t.Logf("process: the longest time without an event %v", a.stalls())
		kill()
		time.Sleep(time.Second) // as long as a restart may take
		start()
		h.growing(a, 20)
		t.Logf("server: %v", a.stalls())
	}
	h.settle(a)
}
