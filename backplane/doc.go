// Package backplane is the seam between package sse and what several processes
// share: a [Log] that gives events one order and keeps the newest of them, and
// a [Store] of small records for locks, presence and leases.
//
// [Memory] is both, for one process. Packages natslog and redislog are both on
// a broker, and package logtest is what any other implementation must pass.
//
// # The log
//
// A log is a sequence of entries that are numbered without a hole. Whoever
// follows it gets each entry once and in order, or is told by [ErrGap] that it
// cannot: there is no third way. A [Cursor] names an entry by its number and by
// something of the entry's own, so that the number of another entry is
// recognized: of one in another log, of one in a log that was emptied and
// filled again, of one that a broker lost in a crash and replaced by another.
//
// # The store
//
// A record is a key, a value and a revision that grows with every change of any
// record. [Store.Swap] changes a record only if nobody else has done so
// meanwhile, which is all that a lock needs, and its revision is a fence:
// what it guards can refuse a write with a smaller one.
package backplane
