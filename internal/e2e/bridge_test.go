package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// A bridge joins three networks, in each of which there is one host.
type bridge struct {
	t     *testing.T
	names [3]string // of the networks
	hosts [3]string // addresses
	ports [3]string // of the bridge
}

// bridges are so many so far: each has a name of its own.
var bridges atomic.Int32

// layBridge lays a bridge until the test's end. It skips the test where that is
// not allowed.
func layBridge(t *testing.T) *bridge {
	t.Helper()
	skipShort(t)
	if os.Geteuid() != 0 {
		t.Skip("only root lays bridges")
	}
	b := &bridge{t: t}
	name := fmt.Sprintf("ssebr%d%c", os.Getpid()%100_000, 'a'+bridges.Add(1)%26)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, n := range b.names {
			exec.CommandContext(ctx, "ip", "netns", "del", n).Run() // its links go with it, if there was one
		}
		exec.CommandContext(ctx, "ip", "link", "del", name).Run()
	})
	b.try("ip link add %s type bridge forward_delay 0", name)
	b.try("ip link set %s up", name)
	for i := range b.names {
		b.names[i] = fmt.Sprintf("%s-%d", name, i)
		b.hosts[i] = fmt.Sprintf("10.214.0.%d", i+1)
		b.ports[i] = fmt.Sprintf("%sp%d", name, i)
		b.try("ip netns add %s", b.names[i])
		b.try("ip link add %s type veth peer name eth0 netns %s", b.ports[i], b.names[i])
		b.try("ip link set %s master %s", b.ports[i], name)
		b.try("ip link set %s up", b.ports[i])
		b.try("ip -n %s addr add %s/24 dev eth0", b.names[i], b.hosts[i])
		b.try("ip -n %s link set eth0 up", b.names[i])
		b.try("ip -n %s link set lo up", b.names[i])
	}
	return b
}

func (b *bridge) run(command string, args ...any) error {
	words := strings.Fields(fmt.Sprintf(command, args...))
	out, err := exec.CommandContext(b.t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", words, err, out)
	}
	return nil
}

func (b *bridge) try(command string, args ...any) {
	b.t.Helper()
	if err := b.run(command, args...); err != nil {
		b.t.Skip(err)
	}
}

func (b *bridge) must(command string, args ...any) {
	b.t.Helper()
	if err := b.run(command, args...); err != nil {
		b.t.Fatal(err)
	}
}

// isolate lets no packet to or from a network pass, and tells nobody, until
// heal is called.
func (b *bridge) isolate(i int) (heal func()) {
	b.t.Helper()
	b.must("bridge link set dev %s state 0", b.ports[i])
	return func() { b.must("bridge link set dev %s state 3", b.ports[i]) }
}

// separate lets no packet pass between two networks, which both still reach the
// third, until heal is called.
func (b *bridge) separate(i, j int) (heal func()) {
	b.t.Helper()
	route := func(what string) {
		b.must("ip -n %s route %s blackhole %s/32", b.names[i], what, b.hosts[j])
		b.must("ip -n %s route %s blackhole %s/32", b.names[j], what, b.hosts[i])
	}
	route("add")
	return func() { route("del") }
}
