package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.org/sse"
)

// A floodConfig is that of a process that dispatches as fast as it may.
type floodConfig struct {
	Plain bool // streams keep their handlers
}

// playFlood answers every request with a stream of a set, to which it dispatches the
// numbers below each one that it reads, with padding. It says:
//
//	listening ADDR
//	joined        a client is in the set
//	ended REASON  a client's stream has
func playFlood(config []byte, in *bufio.Scanner, out *output) error {
	var c floodConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	lc := net.ListenConfig{Control: smallBuffer(syscall.SO_SNDBUF)}
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	out.line("listening %v", listener.Addr())
	if !c.Plain {
		listener = sse.Listener(listener)
	}
	var group sse.Set
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			group.Add(source)
			out.line("joined")
			source.AfterFunc(func() { out.line("ended %v", source.Err()) })
		})
	})}
	var running sync.WaitGroup
	defer running.Wait()
	defer server.Close()
	running.Go(func() { server.Serve(listener) })
	pad := strings.Repeat(".", floodSize)
	for next := 0; in.Scan(); {
		for limit, _ := strconv.Atoi(in.Text()); next < limit; next++ {
			group.Dispatch("", strconv.Itoa(next)+pad)
		}
	}
	return in.Err()
}

const (
	floodSize = 1000 // bytes of an event

	// floodWindow is how many events may be on the way to a client: more than its
	// backlog and what its connection holds, and less than a client that reads may lack.
	floodWindow = 2500
)

// smallBuffer returns a function that gives a socket a small buffer, which its
// connections inherit.
func smallBuffer(option int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, option, 64<<10)
		}); failed != nil {
			return failed
		}
		return err
	}
}

// A process that stood still for seconds closes no client that reads: when it goes on,
// none of them seems to have taken anything for as long.
func TestStoppedProcess(t *testing.T) {
	skipShort(t)
	for _, tt := range []struct {
		name  string
		plain bool
	}{{"detached", false}, {"attached", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // with other processes
			stopFlood(t, tt.plain)
		})
	}
}

func stopFlood(t *testing.T, plain bool) {
	const clients, stops = 20, 5
	address, joined, ended := make(chan string, 1), make(chan bool, clients), make(chan string, clients)
	p := spawn(t, "", "flood", floodConfig{plain}, func(line string) {
		switch what, rest, _ := strings.Cut(line, " "); what {
		case "listening":
			address <- rest
		case "joined":
			joined <- true
		case "ended":
			ended <- rest
		}
	})
	dialer := net.Dialer{Control: smallBuffer(syscall.SO_RCVBUF)}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	var reads [clients]atomic.Int64
	for i, s := range openStreams(t, client, "http://"+<-address, clients) {
		go readNumbers(t, s, &reads[i])
		<-joined
	}
	read := func() int64 { // by the slowest
		least := reads[0].Load()
		for i := range reads {
			least = min(least, reads[i].Load())
		}
		return least
	}
	go func() {
		for said := int64(-1); t.Context().Err() == nil; {
			time.Sleep(time.Millisecond) // between two looks
			if n := read(); n > said {
				p.say("%d", n+floodWindow)
				said = n
			}
		}
	}()
	for range stops {
		goal := read() + 2*floodWindow
		eventually(t, faultPatience, func() string {
			if len(ended) > 0 {
				t.Fatalf("the stream of a client that reads has ended: %s", <-ended)
			}
			if n := read(); n < goal {
				return fmt.Sprintf("%d events read by the slowest client, want %d", n, goal)
			}
			return ""
		})
		p.stop(t)
		time.Sleep(3 * time.Second) // longer than a client may take nothing
		p.cmd.Process.Signal(syscall.SIGCONT)
	}
}

// readNumbers reads a stream of numbers, of which none may be missing, until it ends.
func readNumbers(t *testing.T, s *stream, read *atomic.Int64) {
	for next := int64(0); s.lines.Scan(); read.Store(next) {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok || len(data) < floodSize { // at the end it may be cut
			continue
		}
		n, err := strconv.ParseInt(strings.TrimRight(data, "."), 10, 64)
		if err != nil || n != next {
			t.Errorf("got event %d, error %v, want %d", n, err, next)
			return
		}
		next = n + 1
	}
}
