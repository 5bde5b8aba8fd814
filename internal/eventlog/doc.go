// Package eventlog keeps events in one order. A [Log] gives its events their
// stamps and ids and keeps the newest as history; a [Topic] is one set's part of
// a log, and a [Reader] a member's place in a topic.
//
// It knows the wire format, and nothing of streams, members or delivery: a topic
// reports how many readers it has, and whoever appends wakes them.
package eventlog
