package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/natslog"
	"example.org/sse/redislog"
)

// A hubConfig is that of a process that serves the streams of a hub.
type hubConfig struct {
	Name    string // of this process and no earlier one
	Addr    string // where it listens
	Servers string // NATS servers, nearest first,
	Redis   string // or a Redis server
	History int    // of the log; 0: no bound
	Memory  bool   // the log is
	Wait    time.Duration
	Attempt time.Duration // the context of a dispatch
}

// hubSets are the names of the hub's sets. The second has a snapshot.
var hubSets = []string{"a", "s"}

// playHub answers GET /events?set=NAME with a stream. Every event's data is
// SET:WRITER-NUMBER. It says:
//
//	listening
//	added DATA         dispatched
//	unknown DATA TOOK  to be dispatched again
//	unsent DATA TOOK   that, too; it is known not to have been
//	done               its writers are
//	closed SET         its members, with a logout event, in all processes
func playHub(config []byte, in *bufio.Scanner, out *output) error {
	var c hubConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, err := c.open(ctx)
	if err != nil {
		out.line("failed to open the log: %v", err)
		return nil
	}
	hub := &sse.Hub{Log: l, History: 20_000, HistoryBytes: -1, NewSet: func(name string, s *sse.Set) {
		if name == hubSets[1] {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return []sse.Event{{Type: "state", Data: "now"}}, nil }
		}
	}}
	defer hub.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, &sse.AcceptOptions{KeepAlive: time.Second}, func(source *sse.EventSource) {
			hub.Add(source, r.URL.Query()["set"]...)
		})
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	var running sync.WaitGroup
	defer running.Wait()
	defer server.Close()
	running.Go(func() { server.Serve(listener) })
	out.line("listening")
	n := &hubNode{hubConfig: c, hub: hub, out: out, stop: make(chan struct{})}
	var stop sync.Once
	defer cancel()
	for in.Scan() {
		switch command := strings.Fields(in.Text()); command[0] {
		case "write": // WRITERS COUNT PAUSE; a negative count is until stop
			writers, _ := strconv.Atoi(command[1])
			count, _ := strconv.Atoi(command[2])
			pause, _ := time.ParseDuration(command[3])
			running.Go(func() { n.write(ctx, writers, count, pause) })
		case "stop":
			stop.Do(func() { close(n.stop) })
		case "hello": // NAME: an event to each set
			running.Go(func() {
				for _, set := range hubSets {
					n.add(ctx, set, fmt.Sprintf("%s:%s.%s.-0", set, c.Name, command[1]))
				}
			})
		case "close": // SET
			running.Go(func() { n.closeAll(ctx, command[1]) })
		}
	}
	return in.Err()
}

// open opens the log.
func (c hubConfig) open(ctx context.Context) (backplane.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	history := c.History
	if history == 0 {
		history = -1
	}
	if c.Redis != "" {
		logging.Disable() // it tells of every attempt
		return redislog.Open(ctx, redis.NewClient(&redis.Options{Addr: c.Redis, ContextTimeoutEnabled: true}), "faults", &redislog.Options{History: history, HistoryBytes: -1})
	}
	nc, err := nats.Connect(c.Servers, append(natslog.ConnOptions(), nats.DontRandomize())...)
	if err != nil {
		return nil, err
	}
	return natslog.Open(ctx, nc, "faults", &natslog.Options{History: history, HistoryBytes: -1, Memory: c.Memory})
}

// A hubNode is a process that dispatches.
type hubNode struct {
	hubConfig

	hub  *sse.Hub
	out  *output
	stop chan struct{}
}

// closeAll closes the members of a set.
func (n *hubNode) closeAll(ctx context.Context, set string) {
	attempt, cancel := context.WithTimeout(ctx, n.Attempt)
	defer cancel()
	if err := n.hub.Set(set).CloseAllWith(attempt, sse.Event{Type: "logout"}); err != nil {
		n.out.line("failed close: %v", err)
		return
	}
	n.out.line("closed %s", set)
}

// write has writers dispatch count events each, with a pause after each.
func (n *hubNode) write(ctx context.Context, writers, count int, pause time.Duration) {
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			set := hubSets[w%len(hubSets)]
			for i := 0; i != count && !n.stopped(ctx); i++ {
				n.add(ctx, set, fmt.Sprintf("%s:%s.%d-%d", set, n.Name, w, i))
				time.Sleep(pause) // the rate that was asked for
			}
		})
	}
	writing.Wait()
	n.out.line("done")
}

func (n *hubNode) stopped(ctx context.Context) bool {
	select {
	case <-n.stop:
		return true
	default:
		return ctx.Err() != nil
	}
}

// add dispatches an event, again for as long as that is needed.
func (n *hubNode) add(ctx context.Context, set, data string) {
	for ctx.Err() == nil {
		begin := time.Now()
		attempt, cancel := context.WithTimeout(ctx, n.Attempt)
		_, err := n.hub.Set(set).DispatchOnce(attempt, data, sse.Event{Data: data})
		cancel()
		switch {
		case err == nil:
			n.out.line("added %s", data)
			return
		case errors.Is(err, backplane.ErrIndeterminate):
			n.out.line("unknown %s %v", data, time.Since(begin))
		case errors.Is(err, context.DeadlineExceeded):
			n.out.line("unsent %s %v", data, time.Since(begin))
		case ctx.Err() == nil:
			n.out.line("failed dispatch: %v", err)
			return
		}
	}
}
