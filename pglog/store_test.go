package pglog_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/sse/backplane"
	"example.org/sse/internal/probe"
)

// Without a watcher records expire as well, can be created again, and are forgotten later.
func TestExpiryWithoutWatchers(t *testing.T) {
	t.Parallel()
	d := start(t)
	a := d.store("s")
	records := "FROM " + quoted(d.schema) + ".record"
	for i := range 30 {
		probe.Swap(t, a, fmt.Sprint("k", i), 0, "v", time.Second)
	}
	until(t, "they have expired", func() bool { return d.value("SELECT count(*) "+records+" WHERE due > clock_timestamp()") == 0 })
	probe.Swap(t, a, "k29", 0, "mine", time.Hour)
	if n := d.value("SELECT count(*) " + records + " WHERE value IS NOT NULL"); n != 1 {
		t.Errorf("got %d records, want 1", n)
	}
	d.exec("UPDATE " + quoted(d.schema) + ".record SET due = due - interval '10 minutes' WHERE value IS NULL")
	probe.Swap(t, a, "other", 0, "v", 0)
	if n := d.value("SELECT count(*) " + records); n != 2 {
		t.Errorf("got %d records and deleted ones, want 2", n)
	}
}

// A watcher that was away while deletions were forgotten reads all records again.
func TestWatcherMissesDeletion(t *testing.T) {
	t.Parallel()
	d := start(t)
	a := d.store("s")
	gone := probe.Swap(t, a, "gone", 0, "v", 0)
	probe.Swap(t, a, "kept", 0, "v", 0)
	gate, got := make(chan struct{}), make(chan map[string]string)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		state := map[string]string{}
		d.store("s").Watch(ctx, "", func(batch []backplane.Record, _ bool) error {
			for _, r := range batch {
				if state[r.Key] = string(r.Value); r.Value == nil {
					delete(state, r.Key)
				}
			}
			got <- maps.Clone(state)
			<-gate
			return nil
		})
	}()
	if state := <-got; len(state) != 2 {
		t.Errorf("got %v, want 2 records", state)
	}
	if _, err := a.Swap(t.Context(), "gone", gone.Rev, nil, 0); err != nil {
		t.Fatal(err)
	}
	d.exec("UPDATE " + quoted(d.schema) + ".record SET due = clock_timestamp() WHERE value IS NULL")
	probe.Swap(t, a, "new", 0, "v", 0)
	close(gate)
	if state := <-got; !maps.Equal(state, map[string]string{"kept": "v", "new": "v"}) {
		t.Errorf("got %v, want kept and new", state)
	}
}

// A slow watcher gets the present state of many large records.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	d := start(t)
	a := d.store("s")
	want := make(map[string]string)
	value := strings.Repeat("x", 100<<10)
	var wg sync.WaitGroup
	for i := range 50 {
		key := fmt.Sprint("k", i)
		want[key] = value
		wg.Go(func() {
			r := probe.Swap(t, a, key, 0, "first", 0)
			probe.Swap(t, a, key, r.Rev, value, 0)
		})
	}
	v := probe.Watch(t, d.store("s"), "k")
	wg.Wait()
	v.ShowsMap(want)
	probe.Watch(t, d.store("s"), "k").ShowsMap(want)
}
