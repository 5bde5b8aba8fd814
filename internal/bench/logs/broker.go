//go:build linux

package logs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/procfs"
	"golang.org/x/sync/errgroup"

	"example.org/sse/internal/bench/process"
	"example.org/sse/internal/postgres"
)

// A broker is the servers of a log.
type broker struct {
	addrs     string
	processes []*process.Process
	postgres  *postgres.Server
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
	switch {
	case e.nats > 0:
		err = b.startNATS(ctx, e.nats)
	case e.postgres:
		if b.postgres, err = postgres.New(ctx); err == nil {
			b.addrs = b.postgres.URL("postgres")
		}
	default:
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
	if b.postgres != nil {
		b.postgres.Remove()
	}
	if b.dir != "" {
		os.RemoveAll(b.dir) //nolint:errcheck // a temporary folder
	}
}

// cpu returns the processor time that the servers have used, in ns. PostgreSQL has a process
// for each connection; those that have ended count in that of their parent.
func (b *broker) cpu() (sum int64) {
	for _, p := range b.processes {
		sum += p.CPU()
	}
	if b.postgres == nil {
		return sum
	}
	all, _ := procfs.AllProcs() // without them the column is too small, which the report shows
	for _, p := range all {
		stat, err := p.Stat()
		switch {
		case err != nil: // it has ended
		case p.PID == b.postgres.PID():
			sum += (int64(stat.UTime+stat.STime) + int64(stat.CUTime+stat.CSTime)) * tick //nolint:gosec // years
		case stat.PPID == b.postgres.PID():
			sum += int64(stat.UTime+stat.STime) * tick //nolint:gosec // years
		}
	}
	return sum
}

// tick is the unit of the times in /proc: 10 ms, in ns.
const tick = 10_000_000

// NATS is the process of a NATS server.
type NATS struct{}

// Start starts the server with the arguments of its command.
func (*NATS) Start(args []string, _ *process.None) error {
	o, err := server.ConfigureOptions(flag.NewFlagSet("nats", flag.ContinueOnError), args, nil, nil, nil)
	if err != nil {
		return err
	}
	o.NoLog, o.NoSigs = true, true
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
		addrs = append(addrs, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[servers+i]))
	}
	b.addrs = strings.Join(addrs, ",")
	var starting errgroup.Group
	for i := range servers {
		args := []string{"-a", "127.0.0.1", "-p", fmt.Sprint(ports[i]), "-n", fmt.Sprint("server", i), "-js", "-sd", filepath.Join(b.dir, fmt.Sprint(i))}
		if servers > 1 {
			args = append(args, "--cluster_name", "bench", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
		}
		p, err := process.StartPart(ctx, "", "nats")
		if err != nil {
			return err
		}
		b.processes = append(b.processes, p)
		starting.Go(func() error { return p.Call(patience, "Start", args, nil) })
	}
	return starting.Wait()
}

// startRedis returns before the server listens, which its client waits for.
func (b *broker) startRedis(ctx context.Context, args []string) error {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return err
	}
	b.addrs = fmt.Sprintf("127.0.0.1:%d", ports[0])
	args = append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(ports[0]), "--dir", b.dir, "--logfile", filepath.Join(b.dir, "log")}, args...)
	p, err := process.Start(ctx, "redis-server", args...)
	if err != nil {
		return fmt.Errorf("redis-server, of the Debian package of that name: %w", err)
	}
	b.processes = append(b.processes, p)
	return nil
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
