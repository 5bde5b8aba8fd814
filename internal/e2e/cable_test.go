package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// A client whose cable is cut says nothing. It is noticed after the next
// keep-alive and the time that the kernel waits for its acknowledgement, which is the
// stream's write timeout.
func TestCutCable(t *testing.T) {
	const keepAlive, writeTimeout = time.Second, 3 * time.Second
	for _, tt := range []struct {
		name    string
		handler func(*sse.Set) http.Handler
		within  time.Duration
	}{
		{"detached", func(s *sse.Set) http.Handler { return s }, keepAlive + writeTimeout},
		{"attached", func(s *sse.Set) http.Handler { return attached{s} }, keepAlive + writeTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cable := lay(t, len(tt.name)+int(tt.name[0])) // a network of its own
			group := &sse.Set{AcceptOptions: &sse.AcceptOptions{KeepAlive: keepAlive, WriteTimeout: writeTimeout}}
			var config net.ListenConfig
			l, err := config.Listen(t.Context(), "tcp", cable.address+":0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: tt.handler(group)}
			go server.Serve(sse.Listener(l))
			defer server.Close()

			cable.read(l.Addr(), "/")
			for begin := time.Now(); group.Len() == 0; {
				if time.Since(begin) > patience {
					t.Fatal("no client")
				}
				time.Sleep(10 * time.Millisecond) // a process is starting
			}
			time.Sleep(keepAlive * 5 / 2) // some keep-alives pass
			if group.Len() != 1 {
				t.Fatal("the client is gone before the cable is cut")
			}
			cable.cut()
			begin := time.Now()
			for group.Len() > 0 && time.Since(begin) < patience { // the kernel by itself takes a quarter of an hour
				time.Sleep(10 * time.Millisecond) // the kernel's clock runs
			}
			took := time.Since(begin)
			t.Logf("noticed after %v", took.Truncate(10*time.Millisecond))
			if limit := tt.within + 2*time.Second; took > limit && *full || group.Len() > 0 {
				t.Errorf("noticed after %v, want %v at most", took, limit)
			}
		})
	}
}

// A lock whose holder's cable is cut is free after the next keep-alive, the time that
// the kernel waits for its acknowledgement, and the grace.
func TestCutCableFreesLock(t *testing.T) {
	const keepAlive, writeTimeout, grace = time.Second, 3 * time.Second, 2 * time.Second
	cable := lay(t, 77)
	people := &presence.Tracker{Grace: grace}
	table := &locks.Table[int]{Presence: people}
	defer table.Close()
	connected := make(chan presence.Session, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := people.Session(r)
		if err != nil {
			t.Error(err)
			return
		}
		sse.Serve(w, r, &sse.AcceptOptions{KeepAlive: keepAlive, WriteTimeout: writeTimeout}, func(source *sse.EventSource) {
			people.Connect(source, s)
			connected <- s
		})
	})}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", cable.address+":0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(sse.Listener(l))
	defer server.Close()
	token, _ := people.Token("ann")
	cable.read(l.Addr(), "/?page="+token)
	s := <-connected
	if _, err := table.Take(t.Context(), s, 7); err != nil {
		t.Fatal(err)
	}
	time.Sleep(keepAlive * 5 / 2) // some keep-alives pass
	if _, held := table.Load(7); !held {
		t.Fatal("freed before the cable is cut")
	}
	cable.cut()
	begin := time.Now()
	const within = keepAlive + writeTimeout + grace
	held := true
	for held && time.Since(begin) < patience {
		time.Sleep(10 * time.Millisecond) // the kernel's clock runs
		_, held = table.Load(7)
	}
	took := time.Since(begin)
	t.Logf("freed after %v: keep-alive %v, TCP_USER_TIMEOUT %v, grace %v", took.Truncate(10*time.Millisecond), keepAlive, writeTimeout, grace)
	if held || took < grace || took > within+2*time.Second && *full {
		t.Errorf("freed after %v, want %v to %v", took, grace, within+2*time.Second)
	}
}

// attached keeps streams with their handlers.
type attached struct{ http.Handler }

func (a attached) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.Handler.ServeHTTP(keeping{w}, r)
}

type keeping struct{ http.ResponseWriter }

func (k keeping) Unwrap() http.ResponseWriter { return k.ResponseWriter }
func (k keeping) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// A cable leads to a network of its own.
type cable struct {
	t       *testing.T
	name    string // of the network
	link    string // our end
	address string // ours
	far     string // the other one
}

// lay lays a cable. It skips the test where that is not allowed.
func lay(t *testing.T, n int) *cable {
	t.Helper()
	skipShort(t)
	if os.Geteuid() != 0 {
		t.Skip("only root lays cables")
	}
	c := &cable{
		t:       t,
		name:    fmt.Sprintf("sse%d-%d", os.Getpid(), n),
		link:    fmt.Sprintf("sse%d", n),
		address: fmt.Sprintf("10.213.%d.1", n%250),
		far:     fmt.Sprintf("10.213.%d.2", n%250),
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		exec.CommandContext(ctx, "ip", "netns", "del", c.name).Run() // its links go with it,
		exec.CommandContext(ctx, "ip", "link", "del", c.link).Run()  // if there was one
	})
	for _, args := range []string{
		"netns add " + c.name,
		"link add " + c.link + " type veth peer name eth0 netns " + c.name,
		"addr add " + c.address + "/24 dev " + c.link,
		"link set " + c.link + " up",
		"-n " + c.name + " addr add " + c.far + "/24 dev eth0",
		"-n " + c.name + " link set eth0 up",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", args, err, out)
		}
	}
	return c
}

// read has a client at the far end read what is at a path, until the test ends.
func (c *cable) read(addr net.Addr, path string) {
	c.t.Helper()
	client := exec.CommandContext(c.t.Context(), "ip", "netns", "exec", c.name, "bash", "-c",
		fmt.Sprintf(`exec 3<>/dev/tcp/%s; printf 'GET %s HTTP/1.1\r\nHost: test\r\n\r\n' >&3; exec cat <&3`, strings.Replace(addr.String(), ":", "/", 1), path))
	if err := client.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { client.Process.Kill(); client.Wait() })
}

// cut lets nothing pass any more, and tells nobody: it is the far end that goes.
func (c *cable) cut() {
	out, err := exec.CommandContext(c.t.Context(), "ip", "-n", c.name, "link", "set", "eth0", "down").CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}
