// Command nodes serves the demo from several processes, its nodes, with a NATS server or a
// PostgreSQL database between them and a proxy in front. Kill a node to see its pages
// reconnect to another one.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/demo/board"
)

// A config has the values of the command line.
type config struct {
	addr, db, scripts string
	nats, nodes, node string
	postgres          string
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "localhost:8080", "`address` to listen on")
	flag.StringVar(&c.db, "db", "board.db", "SQLite `file` of the board; created if it does not exist")
	flag.StringVar(&c.scripts, "scripts", "node_modules", "`folder` in which npm has installed htmx")
	flag.StringVar(&c.nats, "nats", "", "`URL` of a NATS server with JetStream; without it, one is started")
	flag.StringVar(&c.postgres, "postgres", "", "`URL` of a PostgreSQL database, instead of NATS and -db")
	flag.StringVar(&c.nodes, "nodes", "localhost:8081,localhost:8082,localhost:8083", "`addresses` of the nodes, separated by commas")
	flag.StringVar(&c.node, "node", "", "run only one node, with this `name`; needs -nats or -postgres")
	flag.Parse()
	do := runAll
	if c.node != "" {
		do = runNode
	}
	if err := do(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, "demo-nodes:", err)
		os.Exit(1)
	}
}

// runAll runs the NATS server, the nodes and the proxy until ctx is done or the
// process is interrupted. It does not restart a node that has ended: nodes are there
// to be killed.
func runAll(ctx context.Context, c config) (err error) {
	app, err := c.open(ctx) // created here, before the nodes open it
	if err != nil {
		return err
	}
	if err := app.Close(); err != nil {
		return err
	}
	if c.nats == "" && c.postgres == "" {
		url, stop, err := startNATS()
		if err != nil {
			return fmt.Errorf("NATS server: %w", err)
		}
		defer stop()
		c.nats = url
	}
	processes, upstreams, err := c.processes()
	if err != nil {
		return err
	}
	p := newProxy(upstreams)
	listening := make(chan string, 1)
	srv := &http.Server{
		Addr:              c.addr,
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second, // no other timeouts: the proxy passes on streams
		BaseContext: func(l net.Listener) context.Context {
			listening <- board.URL(l)
			return context.Background()
		},
	}
	nodes, cancel := context.WithCancel(ctx)
	srv.RegisterOnShutdown(cancel) // the nodes end the streams that the proxy waits for
	var running sync.WaitGroup
	for _, n := range processes {
		running.Go(func() { n.run(nodes) })
	}
	running.Go(func() { p.check(nodes) })
	running.Go(func() {
		select {
		case url := <-listening:
			greet(nodes, url, processes)
		case <-nodes.Done():
		}
	})
	err = sse.ListenAndServe(ctx, srv)
	cancel()
	running.Wait()
	return err
}

// open opens the board.
func (c config) open(ctx context.Context) (*board.App, error) {
	if c.postgres != "" {
		return board.OpenPostgres(ctx, c.postgres, c.node, c.scripts)
	}
	return board.Open(ctx, c.db, c.scripts)
}

// processes returns the nodes, named A, B, C and so on, and the same as the proxy
// knows them.
func (c config) processes() (processes []*process, upstreams []*upstream, err error) {
	for i, addr := range strings.Split(c.nodes, ",") {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, nil, fmt.Errorf("-nodes: %w", err)
		}
		u := &upstream{name: string(rune('A' + i)), addr: addr}
		upstreams = append(upstreams, u)
		args := []string{"-node", u.name, "-addr", addr, "-scripts", c.scripts} // shown to users: none is empty
		if c.postgres != "" {
			args = append(args, "-postgres", c.postgres)
		} else {
			args = append(args, "-nats", c.nats, "-db", c.db)
		}
		processes = append(processes, &process{upstream: u, started: make(chan struct{}), args: args})
	}
	return processes, upstreams, nil
}

// greet waits until all nodes are ready, and prints how to kill them.
func greet(ctx context.Context, url string, processes []*process) {
	for _, n := range processes {
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
	fmt.Printf("Open %s in two windows. It is served by %d nodes:\n", url, len(processes))
	for _, n := range processes {
		fmt.Printf("  %s  http://%s  kill -9 %d\n", n.name, n.addr, n.pid)
	}
	fmt.Print("A page shows its node at the top. Edit a card, and kill that node as shown above:\n" +
		"within seconds the page is connected to another node, has missed nothing, and you\n" +
		"still hold the card. Ctrl-C stops all.\n")
}
