package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"example.org/sse"
)

// runNodes starts this program several times, each as one node, with a NATS server
// between them and a proxy in front, until it is told to stop. A node that ends is
// not started again: it is there to be killed.
func runNodes(ctx context.Context, c config) (err error) {
	if err := checkScripts(c.scripts); err != nil {
		return err
	}
	board, err := openBoard(ctx, c.db) // made once, before several do it at once
	if err != nil {
		return err
	}
	if err := board.close(); err != nil {
		return err
	}
	if c.nats == "" {
		url, stop, err := startNATS()
		if err != nil {
			return fmt.Errorf("NATS: %w", err)
		}
		defer stop()
		c.nats = url
	}
	commands, upstreams, err := c.commands()
	if err != nil {
		return err
	}
	p := newProxy(upstreams)
	listening := make(chan string, 1)
	srv := &http.Server{
		Addr:              c.addr,
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second, // there is no other limit: streams pass through
		BaseContext: func(l net.Listener) context.Context {
			listening <- urlOf(l)
			return context.Background()
		},
	}
	nodes, cancel := context.WithCancel(ctx)
	srv.RegisterOnShutdown(cancel) // the nodes end the streams that the proxy waits for
	var running sync.WaitGroup
	for _, n := range commands {
		running.Go(func() { n.run(nodes) })
	}
	running.Go(func() { p.check(nodes) })
	running.Go(func() {
		select {
		case url := <-listening:
			p.greet(nodes, url, commands)
		case <-nodes.Done():
		}
	})
	err = sse.ListenAndServe(ctx, srv)
	cancel()
	running.Wait()
	return err
}

// startNATS starts a NATS server inside this process, with its files in a folder that
// is gone afterwards. Servers that are to outlive a machine are three, on their own.
func startNATS() (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "demo-nats")
	if err != nil {
		return "", nil, err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.Start()
	stop = func() {
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir) // it is a temporary one
	}
	if !s.ReadyForConnections(10 * time.Second) {
		stop()
		return "", nil, errors.New("the server does not start")
	}
	return s.ClientURL(), stop, nil
}

// A node is the process of one.
type node struct {
	*upstream
	args    []string
	started chan struct{} // closed when there is a pid
	pid     int
}

// commands returns the nodes, which are called A, B, C and so on, and what the proxy
// knows of them.
func (c config) commands() (nodes []*node, upstreams []*upstream, err error) {
	for i, addr := range strings.Split(c.nodes, ",") {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, nil, fmt.Errorf("-nodes: %w", err)
		}
		u := &upstream{name: string(rune('A' + i)), addr: addr}
		upstreams = append(upstreams, u)
		nodes = append(nodes, &node{upstream: u, started: make(chan struct{}), args: []string{
			"-node", u.name, "-addr", addr, "-nats", c.nats, "-db", c.db, "-scripts", c.scripts,
		}})
	}
	return nodes, upstreams, nil
}

// run runs the node until it ends, or the context is done, and tells how it ended.
func (n *node) run(ctx context.Context) {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return
	}
	cmd := exec.CommandContext(ctx, self, n.args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return
	}
	n.pid = cmd.Process.Pid
	close(n.started)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return // as it was told
	}
	how := "in order"
	if err != nil {
		how = err.Error()
	}
	fmt.Printf("Node %s has ended (%s). Its pages go on at the others. To start it again:\n  %s %s &\n", n.name, how, self, strings.Join(n.args, " "))
}

// greet tells what there is to try, once all nodes are ready.
func (p *proxy) greet(ctx context.Context, url string, nodes []*node) {
	for _, n := range nodes {
		for started := n.started; started != nil || !n.up.Load(); {
			select {
			case <-started:
				started = nil
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}
	fmt.Printf("Open %s in two windows. It is served by %d nodes:\n", url, len(nodes))
	for _, n := range nodes {
		fmt.Printf("  %s  http://%s  kill -9 %d\n", n.name, n.addr, n.pid)
	}
	fmt.Print("A page shows which node it is connected to. Edit a card there, and kill the node, as it says above:\n" +
		"within seconds the page is at another, has missed nothing, and you still have the card. Ctrl-C stops all.\n")
}
