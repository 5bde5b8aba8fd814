package poll_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.org/sse/internal/poll"
)

// connection returns the two ends of a new connection.
func connection(t *testing.T) (server net.Conn, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return server, conn.(*net.TCPConn)
}

// pair returns a detached connection and its other end.
func pair(t *testing.T, userTimeout time.Duration) (*poll.Socket, *net.TCPConn) {
	t.Helper()
	server, client := connection(t)
	s, network, err := poll.Detach(server, userTimeout)
	if err != nil || network != poll.TCP {
		t.Fatalf("Detach: %v, %v", network, err)
	}
	return &s, client
}

func newPoller(t *testing.T) poll.Poller {
	t.Helper()
	p, err := poll.TCP.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// wait waits for an event that f accepts.
func wait(t *testing.T, p poll.Poller, what string, f func(poll.Event) bool) {
	t.Helper()
	events := make([]poll.Event, 4)
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
		n, err := p.Wait(events, until)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(events[:n], f) {
			return
		}
	}
	t.Fatalf("no event within 2 minutes: %s", what)
}

func TestDetachOfOthers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	if _, _, err := poll.Detach(a, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("got %v", err)
	}
	go b.Close()
	if _, err := a.Read(make([]byte, 1)); err != io.EOF { // it can be used as before
		t.Errorf("got %v", err)
	}
	_, client := connection(t)
	client.Close()
	if _, _, err := poll.Detach(client, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("of a closed connection: %v", err)
	}
}

// A full socket takes nothing, says so without an error, and tells when it takes
// more; every byte arrives in order.
func TestWriteReady(t *testing.T) {
	s, client := pair(t, 0)
	p := newPoller(t)
	const token = 7<<32 | 3
	if err := p.Add(s, token); err != nil {
		t.Fatal(err)
	}
	var sent strings.Builder
	write := func() (full bool) {
		for i := 0; ; i++ {
			b := fmt.Appendf(nil, "%09d %s\n", sent.Len(), strings.Repeat("x", i%5000))
			n, err := s.Write(b)
			if err != nil {
				t.Fatal(err)
			}
			sent.Write(b[:n])
			if n < len(b) {
				return true
			}
		}
	}
	got := make([]byte, 0, 1<<20)
	for round := range 5 {
		write()
		if n, err := s.Write([]byte("x")); n != 0 || err != nil {
			t.Fatalf("a full socket takes %d bytes, error %v", n, err)
		}
		for len(got) < sent.Len() {
			buf := make([]byte, 1000+round*50_000)
			n, err := client.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		wait(t, p, "more can be written", func(e poll.Event) bool { return e.Token == token && e.Writable && !e.Ended })
	}
	if string(got) != sent.String() {
		t.Error("what arrived is not what was sent")
	}
	if err := s.Close(false); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	s, client := pair(t, 0)
	p := newPoller(t)
	if err := p.Add(s, 1); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Discard(1000); n != 0 || err != nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	sent := make(chan bool)
	go func() {
		defer close(sent)
		client.Write(make([]byte, 1<<20))
		client.CloseWrite()
	}()
	total := 0
	for total < 1<<20 {
		wait(t, p, "there is more", func(e poll.Event) bool { return e.Readable })
		n, err := s.Discard(10_000)
		if total += n; err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if n >= 10_000 {
			p.Add(s, 1) // as there is more, it is told again
		}
	}
	<-sent
	if n, err := s.Discard(10_000); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	s.Close(false)
}

// What a client can do is told, and how a socket ends is seen by the client.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*poll.Socket, *net.TCPConn)
		want error // of the client's next read; nil if it is told to the poller
	}{
		{"closed", func(_ *poll.Socket, c *net.TCPConn) { c.Close() }, nil},
		{"half closed", func(_ *poll.Socket, c *net.TCPConn) { c.CloseWrite() }, nil},
		{"reset", func(_ *poll.Socket, c *net.TCPConn) { c.SetLinger(0); c.Close() }, nil},
		{"garbage, then closed", func(_ *poll.Socket, c *net.TCPConn) { c.Write(make([]byte, 100)); c.Close() }, nil},
		{"CloseWrite", func(s *poll.Socket, _ *net.TCPConn) { s.CloseWrite() }, io.EOF},
		{"Close", func(s *poll.Socket, _ *net.TCPConn) { s.Close(false) }, io.EOF},
		{"abort", func(s *poll.Socket, _ *net.TCPConn) { s.Close(true) }, syscall.ECONNRESET},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, client := pair(t, 0)
			p := newPoller(t)
			if err := p.Add(s, 1); err != nil {
				t.Fatal(err)
			}
			tt.end(s, client)
			if tt.want == nil {
				wait(t, p, "it has ended", func(e poll.Event) bool { return e.Ended })
				s.Close(false)
				return
			}
			if _, err := client.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
				t.Errorf("the client reads %v, want %v", err, tt.want)
			}
			if tt.name == "CloseWrite" {
				s.Close(false)
			}
		})
	}
}

// A closed socket leaves its poller, also while another descriptor of the same
// connection exists, as there is one while a child process is being started.
func TestCloseLeaves(t *testing.T) {
	server, client := connection(t)
	file, err := server.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s, _, err := poll.Detach(server, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := newPoller(t)
	if err := p.Add(&s, 1); err != nil {
		t.Fatal(err)
	}
	wait(t, p, "it can be written to", func(e poll.Event) bool { return e.Writable })
	s.Close(false)
	client.Write([]byte("x"))
	events := make([]poll.Event, 1)
	if n, err := p.Wait(events, time.Now().Add(50*time.Millisecond)); n != 0 || err != nil {
		t.Errorf("told %+v, error %v", events[:n], err)
	}
}
