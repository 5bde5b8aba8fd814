//go:build linux

package logs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"example.org/sse/internal/bench/process"
)

// A broker is the servers of a log.
type broker struct {
	addrs     string
	processes []*process.Process
	dir       string
}

// start starts the servers of the engine, if it has any.
func (e Engine) start(ctx context.Context) (*broker, error) {
	b := new(broker)
	if e.local {
		return b, nil
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench-logs"); err != nil {
		return nil, err
	}
	if e.nats > 0 {
		err = b.startNATS(ctx, e.nats)
	} else {
		err = b.startRedis(ctx, e.redis)
	}
	if err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *broker) stop() {
	for _, p := range b.processes {
		p.Kill()
	}
	if b.dir != "" {
		os.RemoveAll(b.dir) //nolint:errcheck // a temporary folder
	}
}

// NATS is the process of a NATS server.
type NATS struct{}

// NATSConfig is a server's. One of a cluster has a port for its routes.
type NATSConfig struct {
	Name        string
	Port, Route int
	Routes      string
	Dir         string
}

// Start starts the server.
func (*NATS) Start(c NATSConfig, _ *None) error {
	o := &server.Options{
		ServerName: c.Name, Host: "127.0.0.1", Port: c.Port, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: c.Dir,
	}
	if c.Routes != "" {
		o.Cluster = server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: c.Route}
		o.Routes = server.RoutesFromStr(c.Routes)
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return errors.New("the server does not start")
	}
	return nil
}

func (b *broker) startNATS(ctx context.Context, servers int) error {
	ports, err := freePorts(ctx, 2*servers)
	if err != nil {
		return err
	}
	var addrs, routes []string
	for i := range servers {
		addrs = append(addrs, fmt.Sprintf("nats://127.0.0.1:%d", ports[2*i]))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[2*i+1]))
	}
	b.addrs = strings.Join(addrs, ",")
	started := make(chan error, servers)
	for i := range servers {
		c := NATSConfig{Name: fmt.Sprintf("server%d", i), Port: ports[2*i], Dir: filepath.Join(b.dir, fmt.Sprint(i))}
		if servers > 1 {
			c.Route, c.Routes = ports[2*i+1], strings.Join(routes, ",")
		}
		p, err := process.StartPart(ctx, "", "nats")
		if err != nil {
			return err
		}
		b.processes = append(b.processes, p)
		go func() { started <- p.Call(patience, "Start", c, nil) }()
	}
	for range servers {
		err = errors.Join(err, <-started)
	}
	return err
}

func (b *broker) startRedis(ctx context.Context, args []string) error {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return err
	}
	args = append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(ports[0]), "--dir", b.dir, "--logfile", filepath.Join(b.dir, "log")}, args...)
	p, err := process.Start(ctx, "redis-server", args...)
	if err != nil {
		return fmt.Errorf("redis-server, of the Debian package of that name: %w", err)
	}
	b.processes = append(b.processes, p)
	b.addrs = fmt.Sprintf("127.0.0.1:%d", ports[0])
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) { // the process is starting
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.addrs)
		if err == nil {
			return conn.Close()
		}
		if time.Since(began) > patience {
			return err
		}
	}
}

// freePorts returns ports that are free at the moment.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // it is open so that the next port is another one
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
