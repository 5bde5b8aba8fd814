package e2e

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/presence"
)

// On NATS, trackers of several processes agree: on sessions that begin, that end, that
// end with their process, and after the server was down for longer than their leases.
func TestNATSPresence(t *testing.T) {
	skipShort(t)
	t.Parallel()
	b := startBroker(t, 1)
	const lease = 10 * time.Second // long enough for a busy machine to renew it
	type process struct {
		*presence.Tracker
		ends chan presence.Session
		cut  func()
	}
	open := func() *process {
		nc := b.connect(t, 0)
		p := &process{
			Tracker: &presence.Tracker{Key: []byte("one"), Store: b.storeOn(t, nc, "presence"), Lease: lease, Grace: time.Second},
			ends:    make(chan presence.Session, 1000),
			cut:     nc.Close,
		}
		p.OnLeave(func(s presence.Session) { p.ends <- s })
		t.Cleanup(func() { p.Close() })
		return p
	}
	one, two := open(), open()
	count := func(p *process) int { return len(p.Members("room")) }
	await := func(what string, is func() bool) {
		t.Helper()
		begin := time.Now()
		for !is() {
			if time.Since(begin) > patience {
				t.Fatalf("not within %v: %s; there are %d and %d sessions", patience, what, count(one), count(two))
			}
			time.Sleep(time.Millisecond) // a server in between
		}
		t.Logf("%s: %v", what, time.Since(begin).Round(100*time.Microsecond))
	}
	source := func() *sse.EventSource {
		s, err := sse.Accept(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	await("leased", func() bool { return leased(one.Tracker) && leased(two.Tracker) })
	ann, bob := presence.Session{User: "ann", Page: "1"}, presence.Session{User: "bob", Page: "2"}
	one.Connect(source(), ann, "room")
	await("one comes", func() bool { return two.Present(ann) })
	two.Leave(ann)
	await("a goodbye is heard elsewhere", func() bool { return !one.Present(ann) })
	n := 200 // more may take a busy machine longer than the lease
	if *full {
		n = 1000
	}
	begin := time.Now()
	for i := range n {
		one.Connect(source(), presence.Session{User: "ann", Page: fmt.Sprint("page ", i)}, "room")
	}
	t.Logf("%d connected in %v", n, time.Since(begin))
	await("all are known elsewhere", func() bool { return count(two) == n })
	two.Connect(source(), bob, "room")
	await("one is known here", func() bool { return count(one) == n+1 })
	b.stop(0)
	await("no lease", func() bool { return !leased(one.Tracker) && !leased(two.Tracker) })
	time.Sleep(lease) // until the leases have expired
	for len(one.ends)+len(two.ends) > 0 {
		select {
		case <-one.ends:
		case <-two.ends:
		}
	}
	b.start(0)
	await("leased again", func() bool { return leased(one.Tracker) && leased(two.Tracker) })
	time.Sleep(2 * lease) // for what must not happen
	if count(one) != n+1 || count(two) != n+1 || len(one.ends)+len(two.ends) > 0 {
		t.Errorf("the server was away: %d and %d sessions, %d and %d ended", count(one), count(two), len(one.ends), len(two.ends))
	}
	one.cut()
	await("a process is dead", func() bool { return count(two) == 1 })
	await("it knows", func() bool { return !leased(one.Tracker) })
}
