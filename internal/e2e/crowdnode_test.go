package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/locks"
	"example.org/sse/natslog"
	"example.org/sse/presence"
	"example.org/sse/redislog"
)

// A crowdConfig is that of a process with a table of locks and many pages.
type crowdConfig struct {
	Broker string // "NATS" or "Redis"
	Addr   string // of the broker
	Lease  time.Duration
}

// crowdPlaces are the places of the pages, by their numbers.
const crowdPlaces = 30

// A crowdLine is what playCrowd says, as JSON.
type crowdLine struct {
	What  string
	Key   int       `json:",omitzero"`
	Page  int       `json:",omitzero"` // from 1 on; 0: none
	Fence uint64    `json:",omitzero"`
	Time  time.Time `json:",omitzero"`
	Place int       `json:",omitzero"`
	Pages []int     `json:",omitzero"`
	Err   string    `json:",omitzero"`
}

// playCrowd follows these commands. It says "ready", and "changed" whenever a lock has
// another fence or no holder any more, with the time.
//
//	come SPAN PAGE...    the pages connect, one after the other, in that time; says "came"
//	take KEY PAGE        says "entered", with the holder and the fence, or an error
//	queue KEY PAGE       says "entered", too
//	check KEY PAGE FENCE says "checked", perhaps with an error
//	list KEYS            says "place" of each place, "lock" of each key, and "listed"
func playCrowd(config []byte, in *bufio.Scanner, out *output) error {
	var c crowdConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	n := &crowdNode{ctx: ctx, out: out, requests: make(chan struct{}, 16)}
	n.tracker = &presence.Tracker{Key: []byte("one"), Store: store, Lease: c.Lease}
	defer n.tracker.Close()
	n.table = &locks.Table[int]{Presence: n.tracker, Changed: func(l locks.Change[int]) {
		if l.Cause != locks.Queued {
			n.line(crowdLine{What: "changed", Key: l.Key, Page: pageNumber(l.Holder), Fence: l.Fence, Time: time.Now()})
		}
	}}
	defer n.table.Close()
	n.table.Load(0) // from here on it follows the store
	for !leased(n.tracker) {
		time.Sleep(10 * time.Millisecond) // until the server has answered
	}
	n.line(crowdLine{What: "ready"})
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for in.Scan() {
		command := strings.Fields(in.Text())
		numbers := make([]int, len(command))
		for i, word := range command {
			numbers[i], _ = strconv.Atoi(word)
		}
		running.Go(func() { n.obey(command, numbers) })
	}
	return in.Err()
}

// open opens the store. Its connection ends with the process.
func (c crowdConfig) open(ctx context.Context) (backplane.Store, error) {
	if c.Broker == "Redis" {
		client := redis.NewClient(&redis.Options{Addr: c.Addr, ContextTimeoutEnabled: true, PoolSize: 100})
		return redislog.OpenStore(ctx, client, "crowd", nil)
	}
	nc, err := nats.Connect("nats://"+c.Addr, natslog.ConnOptions()...)
	if err != nil {
		return nil, err
	}
	return natslog.OpenStore(ctx, nc, "crowd", nil)
}

// A crowdNode is a process with many pages.
type crowdNode struct {
	ctx      context.Context
	out      *output
	tracker  *presence.Tracker
	table    *locks.Table[int]
	requests chan struct{} // has room for those that may run at once
}

func (n *crowdNode) line(l crowdLine) {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // plain data
	}
	n.out.line("%s", text)
}

func pageSession(number int) presence.Session {
	return presence.Session{User: "user", Page: strconv.Itoa(number)}
}

func pageNumber(s presence.Session) int {
	number, _ := strconv.Atoi(s.Page)
	return number
}

func (n *crowdNode) obey(command []string, numbers []int) {
	switch command[0] {
	case "come":
		span, _ := time.ParseDuration(command[1])
		n.come(span, numbers[2:])
	case "take", "queue":
		n.enter(command[0], numbers[1], numbers[2])
	case "check":
		l := crowdLine{What: "checked", Key: numbers[1], Page: numbers[2]}
		if err := n.table.Check(n.ctx, pageSession(l.Page), l.Key, uint64(numbers[3])); err != nil { //nolint:gosec // it was one
			l.Err = err.Error()
		}
		n.line(l)
	case "list":
		n.list(numbers[1])
	}
}

// come connects pages.
func (n *crowdNode) come(span time.Duration, pages []int) {
	begin := time.Now()
	l := crowdLine{What: "came"}
	for i, page := range pages {
		time.Sleep(time.Until(begin.Add(span * time.Duration(i) / time.Duration(len(pages))))) // as they come
		source, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(n.ctx, "GET", "/", nil), nil)
		if err == nil {
			err = n.tracker.Connect(source, pageSession(page), fmt.Sprint(page%crowdPlaces))
		}
		if err != nil {
			l.Err = err.Error()
		}
	}
	l.Time = time.Now()
	n.line(l)
}

// enter takes a lock or waits for it.
func (n *crowdNode) enter(how string, key, page int) {
	n.requests <- struct{}{}
	defer func() { <-n.requests }()
	f := n.table.Take
	if how == "queue" {
		f = n.table.Queue
	}
	got, err := f(n.ctx, pageSession(page), key)
	l := crowdLine{What: "entered", Key: key, Page: pageNumber(got.Holder), Fence: got.Fence}
	if err != nil {
		l.Err = err.Error()
	}
	n.line(l)
}

// list says what the process knows.
func (n *crowdNode) list(keys int) {
	for place := range crowdPlaces {
		l := crowdLine{What: "place", Place: place}
		for _, m := range n.tracker.Members(fmt.Sprint(place)) {
			l.Pages = append(l.Pages, pageNumber(m.Session))
		}
		n.line(l)
	}
	for key := range keys {
		got, _ := n.table.Load(key)
		n.line(crowdLine{What: "lock", Key: key, Page: pageNumber(got.Holder), Fence: got.Fence})
	}
	n.line(crowdLine{What: "listed"})
}
