package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.org/sse/natslog"
)

// A cluster is NATS servers, each of which is a process.
type cluster struct {
	t        *testing.T
	networks []string // names; empty: that of the tests
	servers  []serverConfig
	running  []*process
}

// startCluster starts a server at each of the addresses given, until the test's end.
func startCluster(t *testing.T, networks, hosts []string) *cluster {
	t.Helper()
	c := &cluster{t: t, networks: networks, running: make([]*process, len(hosts))}
	routes := make([]string, len(hosts))
	for i, host := range hosts {
		c.servers = append(c.servers, serverConfig{Name: fmt.Sprint("server", i), Host: host, Port: freePort(t), Route: freePort(t), Dir: t.TempDir()})
		routes[i] = fmt.Sprintf("nats://%s:%d", host, c.servers[i].Route)
	}
	for i := range c.servers {
		if len(hosts) > 1 {
			c.servers[i].Routes = strings.Join(routes, ",")
		}
		c.startServer(i)
	}
	return c
}

func (c *cluster) startServer(i int) {
	c.running[i] = spawn(c.t, c.networks[i], "server", c.servers[i], func(string) {})
}

// urls returns the servers' addresses, the i-th first.
func (c *cluster) urls(i int) string {
	urls := make([]string, len(c.servers))
	for k := range urls {
		s := c.servers[(i+k)%len(c.servers)]
		urls[k] = fmt.Sprintf("nats://%s:%d", s.Host, s.Port)
	}
	return strings.Join(urls, ",")
}

// leader returns the place of the server that leads a stream.
func (c *cluster) leader(stream string) int {
	c.t.Helper()
	nc, err := nats.Connect(c.urls(0), natslog.ConnOptions()...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	name := leaderOf(c.t.Context(), js, stream)
	for i := range c.servers {
		if c.servers[i].Name == name {
			return i
		}
	}
	c.t.Fatalf("%s leads %s", name, stream)
	return 0
}
