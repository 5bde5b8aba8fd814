package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.org/sse/backplane"
	"example.org/sse/natslog"
)

// A nodeConfig is that of a process that appends to a log, and follows it.
type nodeConfig struct {
	Name    string // of this process and no earlier one
	Servers string // addresses, nearest first
	Log     string // name of the log, and of the store
}

// playNode says what it does and sees, in lines:
//
//	entry SEQ DATA    followed
//	added DATA        appended
//	unknown DATA      to be appended again
//	swapped REV       its record
//	record KEY REV    watched
//	done              its writers are
//	leaders LOG STORE servers that lead
func playNode(config []byte, in *bufio.Scanner, out *output) error {
	var c nodeConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	nc, err := nats.Connect(c.Servers, append(natslog.ConnOptions(), nats.DontRandomize())...)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, err := natslog.Open(ctx, nc, c.Log, &natslog.Options{History: -1, HistoryBytes: -1})
	if err != nil {
		return err
	}
	s, err := natslog.OpenStore(ctx, nc, c.Log, nil)
	if err != nil {
		return err
	}
	n := &node{nodeConfig: c, log: l, store: s, out: out, stop: make(chan struct{})}
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	following.Go(func() { n.follow(ctx) })
	following.Go(func() { n.watch(ctx) })
	for in.Scan() {
		switch command := strings.Fields(in.Text()); command[0] {
		case "write": // WRITERS COUNT PAUSE; a negative count is until stop
			writers, _ := strconv.Atoi(command[1])
			count, _ := strconv.Atoi(command[2])
			pause, _ := time.ParseDuration(command[3])
			following.Go(func() { n.write(ctx, writers, count, pause) })
		case "stop":
			close(n.stop)
		case "leaders":
			following.Go(func() {
				out.line("leaders %s %s", leaderOf(ctx, js, "SSE_"+c.Log), leaderOf(ctx, js, "KV_sse_"+c.Log))
			})
		}
	}
	return in.Err()
}

// A node is a process that appends and follows.
type node struct {
	nodeConfig

	log   backplane.Log
	store backplane.Store
	out   *output
	stop  chan struct{}
}

func (n *node) follow(ctx context.Context) {
	err := n.log.Follow(ctx, backplane.Oldest, func(batch []backplane.Entry, _ bool) error {
		n.out.mu.Lock()
		defer n.out.mu.Unlock()
		for _, e := range batch {
			fmt.Fprintf(n.out.w, "entry %d %s\n", e.Cursor.Seq, e.Data)
		}
		return n.out.w.Flush()
	})
	if ctx.Err() == nil {
		n.out.line("failed follow: %v", err)
	}
}

func (n *node) watch(ctx context.Context) {
	err := n.store.Watch(ctx, "", func(batch []backplane.Record, _ bool) error {
		for _, r := range batch {
			n.out.line("record %s %d", r.Key, r.Rev)
		}
		return nil
	})
	if ctx.Err() == nil {
		n.out.line("failed watch: %v", err)
	}
}

// write has writers append count entries each, with a pause after each, and
// changes a record of its own meanwhile.
func (n *node) write(ctx context.Context, writers, count int, pause time.Duration) {
	done := make(chan struct{})
	var swapping, writing sync.WaitGroup
	swapping.Go(func() { n.swap(ctx, done) })
	for w := range writers {
		writing.Go(func() {
			for i := 0; i != count && !n.stopped(ctx); i++ {
				n.add(ctx, fmt.Sprintf("%s.%d-%d", n.Name, w, i))
				time.Sleep(pause) // the rate that was asked for
			}
		})
	}
	writing.Wait()
	close(done)
	swapping.Wait()
	n.out.line("done")
}

func (n *node) stopped(ctx context.Context) bool {
	select {
	case <-n.stop:
		return true
	default:
		return ctx.Err() != nil
	}
}

// add appends an entry, again for as long as that is needed.
func (n *node) add(ctx context.Context, data string) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := n.log.Append(attempt, data, []byte(data))
		cancel()
		switch {
		case err == nil:
			n.out.line("added %s", data)
			return
		case errors.Is(err, context.DeadlineExceeded):
			n.out.line("unknown %s", data)
		case ctx.Err() == nil:
			n.out.line("failed append: %v", err)
			return
		}
	}
}

// swap changes the record that has this node's name ten times a second.
func (n *node) swap(ctx context.Context, done chan struct{}) {
	var last backplane.Record
	for {
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		r, err := n.store.Swap(attempt, n.Name, last.Rev, []byte("value"), time.Hour)
		cancel()
		switch {
		case err == nil:
			if r.Rev <= last.Rev {
				n.out.line("failed swap: revision %d after %d", r.Rev, last.Rev)
			}
			last = r
			n.out.line("swapped %d", r.Rev)
		case errors.Is(err, backplane.ErrConflict): // its own, of a call whose outcome was unknown
			last = r
		case !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			n.out.line("failed swap: %v", err)
			return
		}
	}
}

// leaderOf returns the name of the server that leads a stream.
func leaderOf(ctx context.Context, js jetstream.JetStream, stream string) string {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		s, err := js.Stream(attempt, stream)
		cancel()
		if err == nil && s.CachedInfo().Cluster != nil && s.CachedInfo().Cluster.Leader != "" {
			return s.CachedInfo().Cluster.Leader
		}
	}
	return "-"
}
