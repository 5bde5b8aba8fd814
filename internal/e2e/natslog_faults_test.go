package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.org/sse/backplane"
	"example.org/sse/natslog"
)

func management(t *testing.T, b *broker) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(b.connect(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// A stream that somebody has deleted is made again, and is a gap to who
// followed it. Records are gone, for watchers too.
func TestNATSDeletedStream(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 1)
	js := management(t, b)
	for _, again := range []string{"at once", "by who needs it"} {
		name := strings.ReplaceAll(again, " ", "-")
		l, s := b.log(t, 0, name, nil), b.store(t, 0, name, nil)
		r := read(t, l, backplane.Oldest)
		r.has(t, add(t, l, "before", 5))
		gone := make(chan backplane.Record, 10)
		go s.Watch(t.Context(), "", func(batch []backplane.Record, _ bool) error {
			for _, r := range batch {
				gone <- r
			}
			return nil
		})
		old, err := s.Swap(t.Context(), "k", 0, []byte("value"), 0)
		if err != nil || (<-gone).Rev != old.Rev {
			t.Fatal(err)
		}
		for _, stream := range []string{"SSE_", "KV_sse_"} {
			if err := js.DeleteStream(t.Context(), stream+name); err != nil {
				t.Fatal(err)
			}
		}
		if again == "at once" {
			b.log(t, 0, name, nil)
		}
		added := add(t, l, "after", 10) // as many as before, and more
		r.gap(t)
		read(t, l, backplane.Oldest).has(t, added)
		if r := <-gone; r.Key != "k" || r.Value != nil {
			t.Errorf("the watcher is told of %+v", r)
		}
		if r, err := s.Swap(t.Context(), "k", 0, []byte("value"), 0); err != nil || r.Rev <= old.Rev {
			t.Errorf("revision %d after %d, %v", r.Rev, old.Rev, err)
		}
	}
}

// A consumer that is alive and delivers nothing is noticed.
func TestNATSPausedConsumer(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 1)
	l := b.log(t, 0, "paused", nil)
	r := read(t, l, backplane.Oldest)
	before := add(t, l, "before", 5)
	r.has(t, before)
	js := management(t, b)
	stream, err := js.Stream(t.Context(), "SSE_paused")
	if err != nil {
		t.Fatal(err)
	}
	paused := 0
	for name := range stream.ConsumerNames(t.Context()).Name() {
		if _, err := stream.PauseConsumer(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		paused++
	}
	if paused != 1 {
		t.Fatalf("there are %d consumers, want 1", paused)
	}
	begin := time.Now()
	r.has(t, append(before, add(t, l, "after", 20)...))
	t.Logf("noticed after %v", time.Since(begin))
}

// What was stored is there when the server has been away, and no follower
// notices but by the time it took.
func TestNATSRestart(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 1)
	l, s := b.log(t, 0, "restart", nil), b.store(t, 0, "restart", nil)
	r := read(t, l, backplane.Oldest)
	all := add(t, l, "before", 5)
	record, err := s.Swap(t.Context(), "k", 0, []byte("value"), 0)
	if err != nil {
		t.Fatal(err)
	}
	b.stop(0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = l.Append(ctx, "meanwhile0", []byte("meanwhile0"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a server Append returns %v", err)
	}
	b.start(0)
	all = append(all, add(t, l, "meanwhile", 1)...)
	all = append(all, add(t, l, "after", 5)...)
	r.has(t, all)
	read(t, l, backplane.Oldest).has(t, all)
	if now, err := s.Swap(t.Context(), "k", record.Rev, []byte("changed"), 0); err != nil {
		t.Errorf("%v, %+v", err, now)
	}
}

// A call whose outcome is not known is repeated, and there is one entry.
func TestNATSUnknownOutcome(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 3)
	b.log(t, 0, "unknown", nil)
	alone := b.log(t, b.leader("SSE_unknown"), "unknown", nil)
	l := b.log(t, 0, "unknown", nil)
	r := read(t, l, backplane.Oldest)
	all := add(t, l, "before", 3)
	leader := b.leader("SSE_unknown")
	for i := range b.servers {
		if i != leader { // what the leader stores nobody confirms
			b.stop(i)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := alone.Append(ctx, "unknown0", []byte("unknown0"))
	if !errors.Is(err, backplane.ErrIndeterminate) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a majority Append returns %v", err)
	}
	for i := range b.servers {
		if i != leader {
			b.start(i)
		}
	}
	all = append(all, add(t, l, "unknown", 1)...)
	all = append(all, add(t, l, "after", 3)...)
	r.has(t, all)
	read(t, l, backplane.Oldest).has(t, all)
}

// A server that has stopped answering, and goes on later, has perhaps stored
// what it was sent meanwhile: that is unknown, and is there once.
func TestNATSFrozen(t *testing.T) {
	t.Parallel()
	b := &broker{t: t, options: []*server.Options{{Port: freePort(t)}}}
	ready := make(chan struct{}, 1)
	p := spawn(t, "", "server", serverConfig{Host: "127.0.0.1", Port: b.options[0].Port, Dir: t.TempDir()}, func(string) { ready <- struct{}{} })
	<-ready
	l := b.log(t, 0, "frozen", nil)
	r := read(t, l, backplane.Oldest)
	all := add(t, l, "before", 3)
	r.has(t, all)
	p.stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := l.Append(ctx, "unknown0", []byte("unknown0"))
	if !errors.Is(err, backplane.ErrIndeterminate) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Append returns %v", err)
	}
	p.cmd.Process.Signal(syscall.SIGCONT)
	r.has(t, append(all, "unknown0")) // it was on its way
	all = append(all, add(t, l, "unknown", 1)...)
	all = append(all, add(t, l, "after", 3)...)
	r.has(t, all)
}

// A stream in memory, on one server of several, comes back empty with the same
// time of creation when its server does.
func TestNATSLostMemory(t *testing.T) {
	t.Parallel()
	b := startBroker(t, 3)
	o := &natslog.Options{Memory: true, Replicas: 1}
	b.log(t, 0, "lost", o)
	leader := b.leader("SSE_lost")
	l := b.log(t, (leader+1)%3, "lost", o)
	r := read(t, l, backplane.Oldest)
	r.has(t, add(t, l, "before", 20))
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	b.stop(leader)
	b.start(leader)
	begin := time.Now()
	added := add(t, l, "after", 30)
	r.gap(t)
	t.Logf("a gap after %v", time.Since(begin))
	read(t, l, last).gap(t)
	read(t, l, backplane.Oldest).has(t, added)
}

// Who cannot be helped is told why.
func TestNATSOpen(t *testing.T) {
	t.Parallel()
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	nowhere, err := nats.Connect("nats://127.0.0.1:"+fmt.Sprint(freePort(t)), natslog.ConnOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = natslog.Open(short, nowhere, "name", nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection status RECONNECTING") {
		t.Errorf("without a server: %v", err)
	}
	nowhere.Close()
	if _, err = natslog.OpenStore(t.Context(), nowhere, "name", nil); !errors.Is(err, backplane.ErrClosed) {
		t.Errorf("with a closed connection: %v", err)
	}

	b := startBroker(t, 1)
	js, nc := management(t, b), b.connect(t, 0)
	for _, config := range []jetstream.StreamConfig{
		{Name: "SSE_foreign", Subjects: []string{"foreign"}},
		{Name: "SSE_holes", Subjects: []string{"sse.log._holes"}, MaxMsgsPerSubject: 1},
	} {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(config.Name, "_")
		if _, err := natslog.Open(t.Context(), nc, name, nil); err == nil || !strings.Contains(err.Error(), "wrong settings") {
			t.Errorf("%s: %v", config.Name, err)
		}
	}
	for _, tt := range []struct{ name, want string }{
		{"", "the name is empty"},
		{strings.Repeat("n", 513), "513 bytes long, limit 512"},
	} {
		if _, err := natslog.Open(t.Context(), nc, tt.name, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("a name of %d bytes: %v", len(tt.name), err)
		}
	}
	if _, err := natslog.Open(t.Context(), nc, "replicas", &natslog.Options{Replicas: 3}); err == nil || !strings.Contains(err.Error(), "replicas > 1 not supported") {
		t.Errorf("three replicas on one server: %v", err)
	}
	l, err := natslog.Open(t.Context(), nc, "closed", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, l, backplane.Oldest)
	r.has(t, add(t, l, "entry", 1))
	nc.Close()
	if _, err := l.Append(t.Context(), "id", nil); !errors.Is(err, backplane.ErrClosed) || errors.Is(err, backplane.ErrIndeterminate) {
		t.Errorf("Append with a closed connection: %v", err)
	}
	<-r.ended
	if !errors.Is(r.err, backplane.ErrClosed) {
		t.Errorf("Follow with a closed connection: %v", r.err)
	}
}
