package sse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// since returns how much has been added to a number of events and bytes.
func since(now, before sse.Volume) sse.Volume {
	return sse.Volume{Events: now.Events - before.Events, Bytes: now.Bytes - before.Bytes}
}

// eachAlone runs a test over each transport in fake time, and nothing beside it: what
// ReadStats returns is the process's.
func eachAlone(t *testing.T, test func(t *testing.T, tr transport)) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, tr) }) })
	}
}

// What is dispatched to members that read, and to one that does not.
func TestStatsOfSet(t *testing.T) {
	eachAlone(t, func(t *testing.T, tr transport) {
		const members, events = 7, 100
		before := sse.ReadStats()
		var group sse.Set
		site := tr.serve(t, &group)
		var streams []*stream
		for range members {
			streams = append(streams, site.open())
		}
		stalled := site.open()
		synctest.Wait()
		data := strings.Repeat("x", 10_000) // 100 of them fill the connection, and not the backlog
		for range events {
			group.Dispatch("", data)
		}
		for _, st := range streams {
			for range events {
				st.want("message|" + data)
			}
		}
		synctest.Wait()
		now := sse.ReadStats()
		if n := since(now.Dispatched, before.Dispatched); n.Events != events || n.Bytes < events*10_000 {
			t.Errorf("dispatched %+v, want %d events", n, events)
		}
		if n := since(now.Addressed, before.Addressed).Events; n != events*(members+1) {
			t.Errorf("addressed %d, want %d", n, events*(members+1))
		}
		delivered, pending := since(now.Delivered, before.Delivered), now.Pending
		if delivered.Events+pending.Events != events*(members+1) || delivered.Events < events*members || pending.Events < events/2 {
			t.Errorf("delivered %d, pending %d, want %d of %d delivered", delivered.Events, pending.Events, events*members, events*(members+1))
		}
		if opened := now.Opened - before.Opened; opened != members+1 || now.Attached+now.Detached != members+1 {
			t.Errorf("opened %d, open %d and %d, want %d", opened, now.Attached, now.Detached, members+1)
		}
		for _, st := range append(streams, stalled) {
			st.close()
		}
		synctest.Wait()
		now = sse.ReadStats()
		if n := now.Ended["gone"] - before.Ended["gone"]; n != members+1 || now.Pending != (sse.Volume{}) {
			t.Errorf("%d have gone, want %d; pending %+v", n, members+1, now.Pending)
		}
		if n := since(now.Unsent, before.Unsent).Events; n != pending.Events {
			t.Errorf("unsent %d, want the %d that were pending", n, pending.Events)
		}
	})
}

// endOptions returns the options of a stream that ends as its query says.
func endOptions(r *http.Request, limit *sse.Limit) *sse.AcceptOptions {
	o := &sse.AcceptOptions{WriteTimeout: time.Second, Limits: []*sse.Limit{limit}}
	switch r.URL.RawQuery {
	case "expires":
		o.Expires = time.Now().Add(time.Second)
	case "aged":
		o.MaxAge = time.Second
	}
	return o
}

// memberCounts counts the sources that join and leave the sets of a hub.
type memberCounts struct {
	mu     sync.Mutex
	joined int
	left   map[string]int // by the set and the reason
}

// watch is the NewSet of the hub. A Snapshot for a URL with "fail" fails.
func (c *memberCounts) watch(name string, s *sse.Set) {
	s.Snapshot = func(source *sse.EventSource) ([]sse.Event, error) {
		if strings.Contains(source.URL(), "fail") {
			return nil, errors.New("no state")
		}
		return nil, nil
	}
	s.Joined = func(*sse.EventSource) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.joined++
	}
	s.Left = func(_ *sse.EventSource, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.left == nil {
			c.left = make(map[string]int)
		}
		c.left[fmt.Sprint(name, " ", err)]++
	}
}

// The reasons why streams end, and why sources leave a set, each once.
func TestStatsOfEnds(t *testing.T) {
	eachAlone(t, func(t *testing.T, tr transport) {
		before := sse.ReadStats()
		var members memberCounts
		hub := &sse.Hub{NewSet: members.watch}
		limit := &sse.Limit{Max: 1, EndOldest: true, Key: func(r *http.Request) string { return r.URL.Query().Get("limit") }}
		sources := make(chan *sse.EventSource, 1)
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, endOptions(r, limit), func(source *sse.EventSource) {
				hub.Add(source, "a", "b")
				sources <- source
			})
		}))
		open := func(query string) (*stream, *sse.EventSource) {
			st := site.openURL("http://memory/" + query)
			return st, <-sources
		}
		gone, _ := open("")
		gone.close()
		_, closed := open("")
		hub.Set("b").Delete(closed)
		closed.Close()
		_, slow := open("")
		slow.Dispatch("", strings.Repeat("x", 1<<20))
		slow.Wait()
		open("?fail")
		for _, query := range []string{"?expires", "?aged"} {
			_, source := open(query)
			source.Wait()
		}
		open("?limit=1")
		open("?limit=1")
		site.shutdown()
		synctest.Wait()
		now := sse.ReadStats()
		for reason, want := range map[string]uint64{"gone": 1, "closed": 1, "slow": 1, "other": 1, "shutdown": 1, "expired": 1, "max-age": 1, "limited": 1} {
			if n := now.Ended[reason] - before.Ended[reason]; n != want {
				t.Errorf("%d have ended as %s, want %d", n, reason, want)
			}
		}
		joined, left := members.joined, members.left
		n := 0
		for _, k := range left {
			n += k
		}
		if joined != 16 || n != 16 || left["b <nil>"] != 1 || left["a "+sse.ErrClosed.Error()] != 1 || left["a "+sse.ErrShutdown.Error()] != 1 {
			t.Errorf("%d joined, and %d left: %v", joined, n, left)
		}
	})
}

// Whatever happens to the members of sets in a storm, the numbers add up.
func TestStatsInAStorm(t *testing.T) {
	eachAlone(t, func(t *testing.T, tr transport) {
		before := sse.ReadStats()
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log, History: 200, NewSet: func(name string, s *sse.Set) {
			s.Slow = sse.SlowPolicy(len(name) % 3)
			s.Replay = name == "aaaa"
		}}
		defer hub.Close()
		names := []string{"a", "aa", "aaa", "aaaa"}
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, &sse.AcceptOptions{Backlog: 20_000, WriteTimeout: time.Second, Compress: gzipped.Compress}, func(source *sse.EventSource) {
				hub.Add(source, names[rand.IntN(4)], names[rand.IntN(4)])
				hub.Set("aa").AddFunc(source, func(e sse.Event) (sse.Event, bool) { return sse.Event{Data: "y"}, rand.IntN(2) > 0 })
				source.Dispatch("direct", "hello")
				go func() {
					time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond) // fake
					switch rand.IntN(4) {
					case 0:
						hub.Set(names[rand.IntN(4)]).Delete(source)
					case 1:
						source.Close()
					}
				}()
			})
		}))
		var clients sync.WaitGroup
		for i := range 40 {
			headers := []string{"Last-Event-ID", ""} // and net/http asks for gzip
			if i%2 == 0 {
				headers = append(headers, "Accept-Encoding", "identity")
			}
			clients.Go(func() {
				for range 4 {
					st := site.open(headers...)
					leave := time.AfterFunc(time.Second, st.close) // fake; it may be in no set
					for n := rand.IntN(100); n > 0; n-- {
						e, err := st.next()
						if err != nil {
							break
						}
						headers[1] = e.id
					}
					time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond) // fake: it stalls
					leave.Stop()
					st.close()
				}
			})
		}
		stop := make(chan bool)
		var writing sync.WaitGroup
		for range 3 {
			writing.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond): // fake
						hub.Set(names[rand.IntN(4)]).Dispatch("", strings.Repeat("x", rand.IntN(10_000)))
					}
				}
			})
		}
		for range 3 {
			time.Sleep(time.Second) // fake
			log.lose <- true
		}
		clients.Wait()
		close(stop)
		writing.Wait()
		site.stop()
		time.Sleep(time.Minute) // fake
		wantStatsToAddUp(t, before, sse.ReadStats())
	})
}

// wantStatsToAddUp compares the numbers when no stream is open any more.
func wantStatsToAddUp(t *testing.T, before, now sse.Stats) {
	t.Helper()
	var ended uint64
	for _, n := range now.Ended {
		ended += n
	}
	if now.Attached != 0 || now.Detached != 0 || now.Opened != ended || now.Opened-before.Opened < 160 {
		t.Errorf("open %d and %d, opened %d, ended %v", now.Attached, now.Detached, now.Opened-before.Opened, now.Ended)
	}
	var sums [2]string
	for i, v := range []func(sse.Volume) uint64{
		func(v sse.Volume) uint64 { return v.Events },
		func(v sse.Volume) uint64 { return v.Bytes },
	} {
		addressed := v(since(now.Addressed, before.Addressed))
		parts := []uint64{v(since(now.Delivered, before.Delivered)), v(since(now.Skipped, before.Skipped)), v(since(now.Hidden, before.Hidden)), v(since(now.Unsent, before.Unsent))}
		sum := uint64(0)
		for _, n := range parts {
			sum += n
		}
		if sums[i] = fmt.Sprint(parts); addressed != sum {
			t.Errorf("addressed %d, want %d: %v", addressed, sum, parts)
		}
		if parts[0] == 0 || parts[1] == 0 || parts[2] == 0 || parts[3] == 0 {
			t.Errorf("%v: some of it has not happened", parts)
		}
	}
	c, b := now.Compression, before.Compression
	if c.Shared.Events == b.Shared.Events || c.Own.Events == b.Own.Events || c.Stored.Events == b.Stored.Events {
		t.Errorf("pieces %+v, and before %+v: some of it has not happened", c, b)
	}
	t.Log(strconv.FormatUint(now.Opened-before.Opened, 10), "streams; delivered, skipped, hidden, unsent:", sums)
}
