package e2e

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"example.org/sse/natslog"
)

// A broker is a NATS server, or several that are one cluster.
type broker struct {
	t       *testing.T
	options []*server.Options
	servers []*server.Server
}

// startBroker starts a server, or a cluster of three or more, which -short skips. They
// run until the test ends.
func startBroker(t *testing.T, servers int) *broker {
	t.Helper()
	if servers > 1 {
		skipShort(t)
	}
	b := &broker{t: t, servers: make([]*server.Server, servers)}
	for range servers {
		b.options = append(b.options, &server.Options{
			Host: "127.0.0.1", Port: freePort(t), NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(),
		})
	}
	if servers > 1 {
		routes := ""
		for i, o := range b.options {
			o.ServerName = fmt.Sprintf("server%d", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: freePort(t)}
			routes += fmt.Sprintf(",nats://127.0.0.1:%d", o.Cluster.Port)
		}
		for _, o := range b.options {
			o.Routes = server.RoutesFromStr(routes[1:])
		}
	}
	for i := range b.servers {
		b.start(i)
	}
	t.Cleanup(func() {
		for i := range b.servers {
			b.stop(i)
		}
	})
	return b
}

func freePort(t *testing.T) int {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start starts a server, again perhaps, with what it has stored.
func (b *broker) start(i int) {
	b.t.Helper()
	s, err := server.NewServer(b.options[i].Clone())
	if err != nil {
		b.t.Fatal(err)
	}
	s.Start()
	b.servers[i] = s
	if len(b.servers) == 1 && !s.ReadyForConnections(patience) {
		b.t.Fatal("the server does not start")
	}
}

func (b *broker) stop(i int) {
	if b.servers[i] != nil {
		b.servers[i].Shutdown()
		b.servers[i].WaitForShutdown()
		b.servers[i] = nil
	}
}

// connect connects to the servers, the i-th first, until the test's end.
func (b *broker) connect(t testing.TB, i int) *nats.Conn {
	t.Helper()
	urls := ""
	for n := range b.options {
		urls += fmt.Sprintf(",nats://127.0.0.1:%d", b.options[(i+n)%len(b.options)].Port)
	}
	nc, err := nats.Connect(urls[1:], append(natslog.ConnOptions(), nats.DontRandomize())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (b *broker) log(t testing.TB, i int, name string, o *natslog.Options) *natslog.Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := natslog.Open(ctx, b.connect(t, i), name, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (b *broker) store(t testing.TB, i int, name string, o *natslog.StoreOptions) *natslog.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := natslog.OpenStore(ctx, b.connect(t, i), name, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// storeOn is store on a connection of the test's own.
func (b *broker) storeOn(t testing.TB, nc *nats.Conn, name string) *natslog.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := natslog.OpenStore(ctx, nc, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leader returns the server that leads a stream.
func (b *broker) leader(stream string) int {
	b.t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; {
		for i, s := range b.servers {
			if s != nil && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				return i
			}
		}
		time.Sleep(10 * time.Millisecond) // an election
	}
	b.t.Fatal("no leader of " + stream)
	return 0
}
