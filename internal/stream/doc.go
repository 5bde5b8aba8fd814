// Package stream is the life of event streams. A [Stream] is one: what waits for
// its client, its way out, and its end. A [Group] is the members of a set: a
// stream's place in one is a [Member], which reads the set's topic.
//
// An event's way: [Group.Deliver] walks over the members (group.go). The walk
// writes to a stream that is detached from its handler itself (detached.go), and
// wakes the goroutine of one that is attached to it (attached.go). Either takes
// what waits (queue.go). Shards (shard.go) look after detached streams that are
// idle or slow, and end.go is where a stream ends.
//
// The package knows of events only that they are encoded, and of topics what
// package eventlog says. Options, histories and snapshots are package sse's.
package stream
