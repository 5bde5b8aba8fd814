package sse

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/stream"
	"example.org/sse/internal/wire"
)

const (
	// gapType is the type of the event that reports a gap to a client, if the set
	// has no Snapshot that would make up for it.
	gapType = "gap"

	// idType is the type of an event that brings an id and nothing else: to a new
	// client of a shared log, so that it can resume elsewhere. (An id without data is
	// no event, and not every browser sends it back.)
	idType = "last-event-id"
)

// A join lets one source begin to read several sets of one log: from one place, so
// that what is dispatched to several sets keeps its order. While it is made the
// stream is held, and nothing of the sets is sent.
type join struct {
	source  *EventSource
	log     *eventlog.Log
	sets    []*Set
	members []*stream.Member
	seen    bool // the client has seen something before: not to resume is a gap
}

// begin lets the source begin: after the event that it has seen last, if it can
// resume and has not yet done so, or else with a snapshot. On a shared log it may
// have to wait.
func (j *join) begin(f *follower) {
	id := ""
	if j.source.lastEventID != "" && j.source.resumed.CompareAndSwap(false, true) {
		id = j.source.lastEventID
	}
	j.seen = j.source.lastEventID != ""
	for {
		if !f.await(j.source, id) {
			return // the stream has ended, or the hub is closed
		}
		hold := j.source.stream.Hold()
		p, live := j.place(id, hold)
		if !live {
			j.source.stream.Release(hold, nil)
			continue
		}
		if id != "" && !p.Resumed {
			j.source.resumed.Store(false)
		}
		j.snapshot(f, hold, p)
		return
	}
}

// again lets the source go on after a gap, from a snapshot, in the follower's
// goroutine: a panic in Snapshot ends the stream. The stream is held.
func (j *join) again(f *follower, hold *stream.Hold) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("sse: Snapshot panicked; stream ended", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	j.seen = true
	for f.await(j.source, "") {
		if p, live := j.place("", hold); live {
			j.snapshot(f, hold, p)
			return
		}
	}
	j.source.stream.Release(hold, nil)
}

// place gives the members their places. It reports false if the log is not live.
func (j *join) place(id string, hold *stream.Hold) (p eventlog.Placement, live bool) {
	topics := make([]*eventlog.Topic, len(j.sets))
	readers := make([]*eventlog.Reader, len(j.sets))
	for i, s := range j.sets {
		topics[i], readers[i] = &s.topic, j.members[i].Input()
	}
	p, live = j.log.Place(topics, readers, id)
	if live {
		j.source.stream.Place(j.members, p.Places, hold, p.Stamp)
	}
	return p, live
}

// snapshot sends the sets' state, unless the source resumes, and releases the hold.
// If the log has a gap meanwhile the state may be older than that, and is made
// again.
func (j *join) snapshot(f *follower, hold *stream.Hold, p eventlog.Placement) {
	st := &j.source.stream
	done := false
	defer func() {
		if !done {
			st.End(errSnapshot)
			st.Release(hold, nil)
		}
	}()
	var items []eventlog.Item
	for !p.Resumed {
		var err error
		if items, err = j.state(p); err != nil {
			st.End(fmt.Errorf("%w: %w", errSnapshot, err))
			break
		}
		if j.log.Gaps() == p.Gaps {
			break
		}
		j.seen = true
		again, live := p, false
		for !live && f.await(j.source, "") {
			again, live = j.place("", hold)
		}
		if !live {
			break // the stream has ended, or the hub is closed
		}
		p = again
	}
	done = true
	st.Release(hold, items)
	switch {
	case p.Resumed:
		joins.resumed.Add(1)
	case p.Replay:
		joins.replayed.Add(1)
	}
}

var errSnapshot = errors.New("sse: Snapshot failed")

// state returns what the source is sent first: the sets' snapshots, or a gap. On a
// shared log it has the id to resume from, with what comes last of the state and of
// what is replayed after it: with an id from between, the client would miss the rest.
func (j *join) state(p eventlog.Placement) (items []eventlog.Item, err error) {
	events, err := j.events(p.Places)
	if err != nil {
		return nil, err
	}
	if p.ID == "" {
		return snapshotItems(events, p.Stamp)
	}
	if n := len(events); n > 0 && events[n-1].ID == "" && !p.Replay {
		events[n-1].ID = p.ID
		return snapshotItems(events, p.Stamp)
	}
	if items, err = snapshotItems(events, p.Stamp); err != nil {
		return nil, err
	}
	last, err := snapshotItems([]Event{{Type: idType, ID: p.ID}}, p.Present)
	return append(items, last...), err
}

// events returns the sets' snapshots, and an event for each gap.
func (j *join) events(places []eventlog.Place) (events []Event, err error) {
	for i, s := range j.sets {
		switch place := places[i]; {
		case !s.group.Has(&j.source.stream): // deleted meanwhile
		case s.Snapshot != nil && !place.Replay:
			joins.snapshots.Add(1)
			state, err := s.Snapshot(j.source)
			if err != nil {
				return nil, err
			}
			events = append(events, state...)
		case j.seen && (j.log.Shared || s.Replay), s.Replay && place.Lost:
			joins.gaps.Add(1)
			events = append(events, Event{Type: gapType})
		}
	}
	return events, nil
}

// snapshotItems encodes events that have one place in the order.
func snapshotItems(events []Event, stamp uint64) (items []eventlog.Item, err error) {
	for _, e := range events {
		var chunk wire.Chunk
		if chunk, err = e.chunk(); err != nil {
			return nil, err
		}
		items = append(items, eventlog.Item{Stamp: stamp, Chunk: chunk, Free: true})
	}
	return items, nil
}
