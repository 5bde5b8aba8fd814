package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// Events for which Key panics replace no others.
func TestKeyPanics(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		hub := sse.Hub{Log: new(backplane.Memory), NewSet: func(_ string, s *sse.Set) {
			s.Slow = sse.LatestPerKey
			s.Key = func(sse.Event) string { panic("Key") }
		}}
		defer hub.Close()
		st := tr.serve(t, rooms(&hub)).openURL(at("a"))
		synctest.Wait()
		large := strings.Repeat("x", 200<<10)
		for _, data := range []string{large, "1", "2"} { // the client reads nothing yet
			hub.Set("a").Dispatch("", data)
		}
		synctest.Wait()
		st.want("message|"+large, "message|1", "message|2")
	})
}

// A panicking log loses its events whenever the test wants.
type losingLog struct {
	*backplane.Memory
	lose chan bool
}

func (l *losingLog) Follow(ctx context.Context, after backplane.Cursor, take func([]backplane.Entry, bool) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := make(chan bool, 1)
	go func() {
		select {
		case <-l.lose:
			lost <- true
			cancel()
		case <-ctx.Done():
		}
	}()
	err := l.Memory.Follow(ctx, after, take)
	select {
	case <-lost:
		return backplane.ErrGap
	default:
		return err
	}
}

// A gap may come at any moment of a join: each source that goes on has a snapshot
// or a gap before what follows. User functions that panic in the hub's goroutine end
// what they were for, are logged, and nothing else ends.
func TestGapWhileJoining(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		var snapshots atomic.Int32
		hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
			if name == "panics" {
				panic("NewSet")
			}
			s.Slow = sse.LatestPerKey
			s.Key = func(e sse.Event) string {
				if e.Data == "panic" {
					panic("Key")
				}
				return e.Type
			}
			s.Snapshot = func(source *sse.EventSource) ([]sse.Event, error) {
				n := snapshots.Add(1)
				time.Sleep(10 * time.Second) // fake
				if strings.Contains(source.URL(), "bad") && n > 3 {
					panic("Snapshot")
				}
				return state("state", fmt.Sprint(n))
			}
		}}
		defer hub.Close()
		site := tr.serve(t, rooms(hub))
		st, bad := site.openURL(at("a", "b")), site.openURL(at("a")+"&bad")
		synctest.Wait()
		time.Sleep(time.Second) // fake: the snapshots are being made
		log.lose <- true
		for range 100 {
			time.Sleep(time.Second)
			hub.Set("a").Dispatch("", "panic")
			func() {
				defer func() { _ = recover() }()
				log.Append(t.Context(), "x"+fmt.Sprint(time.Now().UnixNano()), sealed("panics"))
			}()
		}
		hub.Set("a").Dispatch("", "last")
		if _, err := readUntil(bad, "last"); err == nil {
			t.Error("the stream whose Snapshot panicked goes on")
		}
		types, err := readUntil(st, "last")
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(types, "state"); n < 2 {
			t.Errorf("got %s, want a snapshot of each set", types)
		}
	})
}

// A gap while a new source joins is reported for its sets without a Snapshot: they may
// have lost what was dispatched since.
func TestGapOfNewSource(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
			if name == "slow" {
				s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
					time.Sleep(10 * time.Second) // fake
					return state("state", "")
				}
			}
		}}
		defer hub.Close()
		st := tr.serve(t, rooms(hub)).openURL(at("plain", "slow"))
		time.Sleep(time.Second) // fake: the snapshot is being made
		log.lose <- true
		time.Sleep(time.Minute) // fake
		hub.Set("plain").Dispatch("", "last")
		types, err := readUntil(st, "last")
		if err != nil || !strings.Contains(types, "gap") {
			t.Errorf("got %q, error %v; want a gap", types, err)
		}
	})
}

// A hub that is closed during a gap leaves its sources usable.
func TestCloseHubInGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log}
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		hub.Add(source, "a")
		log.lose <- true
		synctest.Wait() // the hub waits before it follows the log again
		hub.Close()
		source.Dispatch("", "own")
		st.want("message|own")
	})
}

// readUntil reads up to an event with that data, and returns all types.
func readUntil(st *stream, data string) (types string, err error) {
	for {
		e, err := st.next()
		if err != nil {
			return types, err
		}
		types += e.typ + " "
		if e.data == data {
			return types, nil
		}
	}
}

// sealed is an empty event for a set, as a hub's log has it.
func sealed(name string) []byte {
	return append(append([]byte{1, 0, byte(len(name))}, name...), 0, 0, 0)
}

// LatestPerKey does not bring anything from before a gap after the snapshot.
func TestLatestOverGap(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		if tr.http2 {
			t.Skip("the client's own buffers take it all")
		}
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		hub := &sse.Hub{Log: log, NewSet: func(_ string, s *sse.Set) {
			s.Slow = sse.LatestPerKey
			s.AcceptOptions = &sse.AcceptOptions{WriteTimeout: -1}
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { return state("state", "new") }
		}}
		defer hub.Close()
		site := tr.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse.Serve(w, r, &sse.AcceptOptions{WriteTimeout: -1}, func(source *sse.EventSource) { hub.Add(source, "a") })
		}))
		st := site.open()
		synctest.Wait()
		if _, err := hub.Set("a").Dispatch("large", strings.Repeat("x", 200<<10)); err != nil { // is not read yet
			t.Fatal(err)
		}
		synctest.Wait()
		hub.Set("a").Dispatch("value", "1")
		hub.Set("a").Dispatch("value", "2")
		synctest.Wait()
		log.lose <- true
		time.Sleep(3 * time.Second) // fake
		hub.Set("a").Dispatch("value", "3")
		var got []string
		for len(got) == 0 || got[len(got)-1] != "value|3" {
			e, err := st.next()
			if err != nil {
				t.Fatal(err)
			}
			if len(e.data) < 10 {
				got = append(got, e.typ+"|"+e.data)
			}
		}
		if want := []string{"state|new", "value|2", "state|new", "value|3"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Nobody waits for the snapshots of others after a gap.
func TestGapWithSlowSnapshots(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		log := &losingLog{new(backplane.Memory), make(chan bool)}
		var gap atomic.Bool
		hub := &sse.Hub{Log: log, NewSet: func(name string, s *sse.Set) {
			s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) {
				if name == "slow" && gap.Load() {
					time.Sleep(time.Minute) // fake
				}
				return state("state", "")
			}
		}}
		defer hub.Close()
		site := tr.serve(t, rooms(hub))
		for range 200 {
			site.openURL(at("slow"))
		}
		st := site.openURL(at("fast"))
		st.want("state|")
		synctest.Wait()
		gap.Store(true)
		log.lose <- true
		start := time.Now()
		st.want("state|")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the snapshot came after %v", took)
		}
	})
}

// A log whose event takes long to come back does not turn an order round.
func TestSlowEcho(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		lag := make(chan bool)
		log := &laggingLog{Memory: new(backplane.Memory), lag: lag}
		hub := &sse.Hub{Log: log}
		defer hub.Close()
		handler, sources := connected(nil)
		st := tr.serve(t, handler).open()
		source := <-sources
		hub.Add(source, "a")
		time.AfterFunc(5*time.Second, func() { close(lag) })
		if _, err := hub.Set("a").Dispatch("", "1"); err != nil {
			t.Error(err)
		}
		source.Dispatch("", "2")
		st.want("message|1", "message|2")

		stuck := &laggingLog{Memory: new(backplane.Memory), lag: make(chan bool)}
		other := &sse.Hub{Log: stuck}
		defer other.Close()
		if _, err := other.Set("a").Dispatch("", "1"); !errors.Is(err, backplane.ErrIndeterminate) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an event that does not come back: %v, want ErrIndeterminate", err)
		}
	})
}

// A laggingLog holds entries back until lag is closed.
type laggingLog struct {
	*backplane.Memory
	lag chan bool
}

func (l *laggingLog) Follow(ctx context.Context, after backplane.Cursor, take func([]backplane.Entry, bool) error) error {
	return l.Memory.Follow(ctx, after, func(batch []backplane.Entry, live bool) error {
		if len(batch) > 0 {
			select {
			case <-l.lag:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return take(batch, live)
	})
}
