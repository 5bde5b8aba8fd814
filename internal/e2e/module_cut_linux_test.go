package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.org/sse"
)

// The network between a page and its server is cut silently, for so long that the server has
// ended the stream. A page that gets nothing else would never notice. It is live again soon
// after the cable has been mended, and gets what it missed.
func TestModuleCutCable(t *testing.T) {
	const keepAlive = 2 * time.Second
	overAll(t, func(t *testing.T, open func(*testing.T, string) *tab) {
		cable := lay(t, 100+len(t.Name()))
		group := sse.Set{AcceptOptions: &sse.AcceptOptions{KeepAlive: keepAlive, WriteTimeout: keepAlive}}
		l := cable.listen()
		server := &http.Server{Handler: moduleSite(&group)}
		go server.Serve(sse.Listener(l))
		defer server.Close()
		b := open(t, fmt.Sprintf("http://%s/?heartbeat=%d", l.Addr(), keepAlive.Milliseconds()))
		awaitMember(t, &group)
		group.Dispatch("", "1")
		b.logs(soon, "open,1")
		cable.cut()
		awaitMembers(t, &group, 0)
		group.Dispatch("", "2")
		b.await(soon, "source.readyState === 0")
		time.Sleep(5 * keepAlive) // the page has noticed, too, and tries in vain
		cable.mend()
		begin := time.Now()
		b.await(20*time.Second, "log.at(-1) === '2'")
		t.Logf("live again %v after the cable was mended", time.Since(begin).Round(10*time.Millisecond))
	})
}

// listen listens at the far end.
func (c *cable) listen() net.Listener {
	c.t.Helper()
	far, err := os.Open("/run/netns/" + c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	defer far.Close()
	type result struct {
		l   net.Listener
		err error
	}
	listening := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is in the other network, ends with the goroutine
		if err := unix.Setns(int(far.Fd()), unix.CLONE_NEWNET); err != nil {
			listening <- result{nil, err}
			return
		}
		l, err := net.Listen("tcp", "0.0.0.0:0") //nolint:noctx // at once
		listening <- result{l, err}
	}()
	got := <-listening
	if got.err != nil {
		c.t.Fatal(got.err)
	}
	return farListener{got.l, &net.TCPAddr{IP: net.ParseIP(c.far), Port: got.l.Addr().(*net.TCPAddr).Port}}
}

// A farListener has the address that it is reached at.
type farListener struct {
	net.Listener
	addr net.Addr
}

func (l farListener) Addr() net.Addr { return l.addr }

// mend undoes cut.
func (c *cable) mend() {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), "ip", "-n", c.name, "link", "set", "eth0", "up").CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}
