package poll_test

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"example.org/sse/internal/poll"
)

func TestWaitReturns(t *testing.T) {
	p := newPoller(t)
	events := make([]poll.Event, 1)
	for _, until := range []time.Time{time.Unix(1, 0), time.Now().Add(10 * time.Millisecond)} {
		if n, err := p.Wait(events, until); n != 0 || err != nil || time.Now().Before(until) {
			t.Errorf("Wait: %d, %v", n, err)
		}
	}
	p.Interrupt() // before
	if n, err := p.Wait(events, time.Time{}); n != 0 || err != nil {
		t.Errorf("Wait: %d, %v", n, err)
	}
	for range 100 { // and meanwhile
		go p.Interrupt()
		if n, err := p.Wait(events, time.Time{}); n != 0 || err != nil {
			t.Errorf("Wait: %d, %v", n, err)
		}
	}
}

func TestUserTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct {
		set  time.Duration
		want int // milliseconds
	}{{0, 0}, {-1, 0}, {time.Microsecond, 1}, {10 * time.Second, 10_000}} {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := poll.SetUserTimeout(client.(*net.TCPConn), tt.set); err != nil {
			t.Error(err)
		}
		raw, err := client.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, 18); got != tt.want || err != nil {
				t.Errorf("%v: got %d ms, error %v; want %d", tt.set, got, err, tt.want)
			}
		})
		client.Close()
	}
}

// A detached connection costs one descriptor, and none afterwards.
func TestDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	p := newPoller(t)
	before := count()
	s, client := pair(t, time.Second)
	if err := p.Add(s, 1); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != before+2 {
		t.Errorf("%d descriptors for both ends", n-before)
	}
	s.Close(true)
	client.Close()
	if n := count(); n != before {
		t.Errorf("%d descriptors left", n-before)
	}
}

// What a client that reads nothing costs the kernel has a bound.
func TestFullSocket(t *testing.T) {
	s, _ := pair(t, 0)
	total := 0
	for b := make([]byte, 16<<10); ; {
		n, err := s.Write(b)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			break
		}
	}
	t.Logf("%d KiB", total>>10)
	if total > 1<<20 {
		t.Errorf("it took %d KiB", total>>10)
	}
	s.Close(true)
}
