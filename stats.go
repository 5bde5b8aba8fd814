package sse

import (
	"sync/atomic"
	"time"

	"example.org/sse/internal/eventlog"
	"example.org/sse/internal/stream"
)

// Stats are numbers of this process: of its streams, its events and its hubs' logs; see
// [ReadStats]. Except where a field says otherwise they count since the process began.
//
// The numbers add up. Opened is Attached, Detached and all of Ended together. Addressed is
// Delivered, Skipped, Hidden, Unsent and Pending together: an event that is dispatched to
// a set is addressed to each of its members.
type Stats struct {
	Attached int // open now, with a handler that waits
	Detached int // open now, without one

	// NotDetached is how many streams of [Serve] could not be detached so far, by
	// the reason: "no sse.Listener", "TLS", "HTTP/2", "HTTP/3", "HTTP/1.0",
	// "Content-Encoding", "response held back" (middleware has not sent the head
	// when it was flushed), "no Hijack", "no TCP socket", "blocking socket" (the
	// program has called Fd of its File) or "not Linux". Reasons
	// that did not occur are left out.
	NotDetached map[string]int

	Opened uint64 // streams

	// Ended is how many streams have ended, by the reason: "closed", "gone", "slow",
	// "shutdown", "expired", "max-age" and "limited" are [ErrClosed], [ErrGone], [ErrSlow],
	// [ErrShutdown], [ErrExpired], [ErrMaxAge] and [ErrLimited], and "other" is any other.
	// All of them are there.
	Ended map[string]uint64

	Dispatched Volume // events of sets, each once
	Addressed  Volume // events, once for each stream that they are for
	Delivered  Volume // those that the operating system, or net/http, has taken
	Skipped    Volume // those that SkipSlow or LatestPerKey dropped
	Hidden     Volume // those that a view did not let through; see Set.AddFunc
	Unsent     Volume // those that waited when their stream ended
	Pending    Volume // those that wait now, for a client, or for their turn

	Compression CompressionStats // of the events above, those to compressed streams

	Resumed   uint64 // sources that joined a set after the last event they had seen
	Replayed  uint64 // sources that got what a set had kept; see Set.Replay
	Snapshots uint64 // calls of Set.Snapshot
	Gaps      uint64 // events of type "gap"

	// Latency is a histogram of the time from a dispatch to when its set's members have
	// been written to, for one of 16 dispatches. What a slow client, or the log
	// of a [Hub], takes is not part of it.
	Latency []Bucket

	// LatencySum is the sum of what Latency counts.
	LatencySum time.Duration

	Logs LogStats // of all hubs that have a Log
}

// A Volume is a number of events, and how many bytes they have on the wire, with the
// framing of HTTP/1.1. Those to compressed streams count with their compressed size in
// Delivered, and with the full one as long as they wait.
type Volume struct{ Events, Bytes uint64 }

// CompressionStats are numbers of the events that were sent to compressed streams; see
// AcceptOptions.Compress. They are counted when their turn to be written has come, without
// what a stream begins and ends with. The bytes are those that were sent: compare their sum with
// Plain. If Own is not small beside Shared, many members have missed events or are sent
// events of several sets, or there are more sets than compressors.
type CompressionStats struct {
	Shared Volume // events of sets, as they were compressed for all members
	Own    Volume // events of sets, to members that could not share them: compressed alone, or too small for it
	Stored Volume // events to one source, and those of views, which are not compressed
	Plain  uint64 // bytes that all of these events have when they are not compressed
}

// A Bucket is how many measurements were at most that long, and longer than the bucket
// before it. The last one has no bound: its UpTo is negative.
type Bucket struct {
	UpTo  time.Duration
	Count uint64
}

// LogStats are numbers of the logs that hubs follow.
type LogStats struct {
	Followed int    // now
	Behind   int    // of those, now: not followed at the moment, or without the history yet
	Errors   uint64 // following or appending failed
	Gaps     uint64 // events were lost
	Follows  uint64 // following began: for each hub once, and again after each error or gap

	// Lag is how long the event that was dispatched here last took to come back, once
	// the log had accepted it.
	Lag time.Duration
}

// joins counts how sources have joined sets.
var joins struct{ resumed, replayed, snapshots, gaps atomic.Uint64 }

// logs counts what has happened to logs.
var logs struct {
	followed, behind      atomic.Int64
	errors, gaps, follows atomic.Uint64
	lag                   atomic.Int64
}

// ReadStats returns the numbers as they are now. It takes microseconds, and holds nobody
// up. The events of a delivery in progress may still count as pending.
func ReadStats() (s Stats) {
	streams, notDetached := stream.Counts()
	s.Attached, s.Detached, s.NotDetached = streams.Attached, streams.Detached, notDetached
	s.Opened, s.Ended = streams.Opened, streams.Ended
	v := eventlog.ReadVolumes()
	s.Dispatched, s.Addressed = Volume(v.Dispatched), Volume(v.Addressed)
	s.Delivered, s.Skipped = Volume(v.Delivered), Volume(v.Skipped)
	s.Hidden, s.Unsent = Volume(v.Hidden), Volume(v.Unsent)
	s.Pending = s.Addressed.less(s.Delivered).less(s.Skipped).less(s.Hidden).less(s.Unsent)
	s.Compression = CompressionStats{Shared: Volume(v.Shared), Own: Volume(v.Own), Stored: Volume(v.Stored)}
	s.Compression.Plain = v.Shared.Bytes + v.Own.Bytes + v.Stored.Bytes + uint64(v.Saved)
	s.Resumed, s.Replayed = joins.resumed.Load(), joins.replayed.Load()
	s.Snapshots, s.Gaps = joins.snapshots.Load(), joins.gaps.Load()
	latency := stream.ReadLatency()
	for i, n := range latency.Counts {
		upTo := time.Duration(-1)
		if i < len(stream.LatencyBounds) {
			upTo = stream.LatencyBounds[i]
		}
		s.Latency = append(s.Latency, Bucket{upTo, n})
	}
	s.LatencySum = latency.Sum
	s.Logs = LogStats{
		Followed: int(logs.followed.Load()), Behind: int(logs.behind.Load()), Lag: time.Duration(logs.lag.Load()),
		Errors: logs.errors.Load(), Gaps: logs.gaps.Load(), Follows: logs.follows.Load(),
	}
	return s
}

// less returns what is left of a volume, nothing rather than less.
func (v Volume) less(w Volume) Volume {
	return Volume{v.Events - min(w.Events, v.Events), v.Bytes - min(w.Bytes, v.Bytes)}
}
