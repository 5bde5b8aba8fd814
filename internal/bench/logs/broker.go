//go:build linux

package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A broker is the servers that a log is on.
type broker struct {
	addrs     string
	processes []*process
	dir       string
}

// start starts what the engine needs.
func (e Engine) start(ctx context.Context, self []string) (b *broker, err error) {
	b = new(broker)
	if e.local {
		return b, nil
	}
	if b.dir, err = os.MkdirTemp("", "bench-logs"); err != nil {
		return nil, err
	}
	if e.nats > 0 {
		err = b.startNATS(ctx, self, e.nats)
	} else {
		err = b.startRedis(ctx, e.redis)
	}
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *broker) stop() error {
	var errs []error
	for _, p := range b.processes {
		errs = append(errs, p.kill())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// A natsConfig is that of one server.
type natsConfig struct {
	Name        string
	Port, Route int
	Routes      string
	Dir         string
}

func (b *broker) startNATS(ctx context.Context, self []string, servers int) error {
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
	for i := range servers {
		c := natsConfig{Name: fmt.Sprintf("server%d", i), Port: ports[2*i], Dir: filepath.Join(b.dir, fmt.Sprint(i))}
		if servers > 1 {
			c.Route, c.Routes = ports[2*i+1], strings.Join(routes, ",")
		}
		config, err := json.Marshal(c)
		if err != nil {
			return err
		}
		p, err := run(ctx, true, self[0], append(self[1:], "nats", string(config))...)
		if err != nil {
			return err
		}
		b.processes = append(b.processes, p)
	}
	for _, p := range b.processes {
		if _, err := p.answer("start of NATS", patience); err != nil {
			return err
		}
	}
	return nil
}

// playNATS is one server, until in ends.
func playNATS(_ context.Context, config string, in io.Reader, out io.Writer) error {
	var c natsConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
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
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) {
		return errors.New("the server does not start")
	}
	if err := json.NewEncoder(out).Encode(reply{}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

func (b *broker) startRedis(ctx context.Context, args []string) error {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return err
	}
	args = append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(ports[0]), "--dir", b.dir, "--logfile", filepath.Join(b.dir, "log")}, args...)
	p, err := run(ctx, false, "redis-server", args...)
	if err != nil {
		return fmt.Errorf("redis-server, of the Debian package of that name: %w", err)
	}
	b.processes = append(b.processes, p)
	b.addrs = fmt.Sprintf("127.0.0.1:%d", ports[0])
	for began := time.Now(); ; {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.addrs)
		if err == nil {
			return conn.Close()
		}
		if time.Since(began) > patience {
			return err
		}
		time.Sleep(5 * time.Millisecond) // the process is starting
	}
}

// freePorts returns ports that nobody listened on just now.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	var listeners []net.Listener
	for range n {
		l, e := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
		if e != nil {
			err = e
			break
		}
		listeners = append(listeners, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return ports, err
}
