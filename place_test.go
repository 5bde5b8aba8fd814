package sse_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
)

// A client of a set where nothing happens can resume however much happens in the
// others: it is sent a newer id before its own is too old.
func TestQuietSet(t *testing.T) {
	for _, tt := range []struct {
		name string
		hub  func() *sse.Hub
	}{
		{"memory", func() *sse.Hub { return &sse.Hub{History: 10} }},
		{"shared", func() *sse.Hub { return &sse.Hub{History: 10, Log: new(backplane.Memory)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, tr transport) {
				hub := tt.hub()
				defer hub.Close()
				snapshots := 0
				hub.NewSet = func(_ string, s *sse.Set) {
					s.Snapshot = func(*sse.EventSource) ([]sse.Event, error) { snapshots++; return nil, nil }
				}
				site := tr.serve(t, rooms(hub))
				st := site.openURL(at("quiet"))
				synctest.Wait()
				hub.Set("quiet").Dispatch("", "0")
				id := ""
				for round := range 5 {
					for i := range 35 {
						hub.Set("busy").Dispatch("", strconv.Itoa(i))
						time.Sleep(time.Millisecond) // fake
					}
					hub.Set("quiet").CloseAll()
					for {
						e, err := st.next()
						if err != nil {
							break
						}
						id = e.id
						if e.typ == "last-event-id" {
							t.Errorf("an event that brings an id alone")
						}
					}
					st = site.openURL(at("quiet"), "Last-Event-ID", id)
					synctest.Wait()
					if snapshots != 1 {
						t.Fatalf("after round %d it has not resumed", round)
					}
				}
				hub.Set("quiet").Dispatch("", "1")
				st.want("message|1")
			})
		})
	}
}

// Where all that happens is in one set there is nothing to tell.
func TestNoPlaceInOneSet(t *testing.T) {
	overEach(t, func(t *testing.T, tr transport) {
		group := sse.Set{History: 2, HistoryAge: time.Minute}
		site := tr.serve(t, &group)
		st := site.open()
		synctest.Wait()
		for i := range 5 {
			group.Dispatch("", strconv.Itoa(i))
		}
		time.Sleep(time.Hour)
		group.CloseAll()
		st.want("message|0", "message|1", "message|2", "message|3", "message|4")
		st.wantEnd()
	})
}
