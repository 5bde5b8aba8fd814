// Package backplane defines what several processes of a program share: a [Log] that
// gives events one order and keeps the newest of them, and a [Store] of small records
// for locks, presence and leases.
//
// [Memory] implements both for one process. Packages natslog and redislog implement both
// on a broker, and package pglog in a database; package logtest tests any implementation.
//
// # The log
//
// A log is a sequence of entries, numbered without a hole. A follower of the log gets
// each entry once and in order, or [ErrGap] if that is impossible; it never misses an
// entry silently. A [Cursor] identifies an entry by its number and by something of the
// entry's own. So a cursor does not match an entry that has the same number in another
// log, in a log that was emptied and filled again, or in a log whose broker lost the
// entry in a crash and replaced it by another.
//
// # The store
//
// A record is a key, a value and a revision that grows with every change of any record.
// [Store.Swap] changes a record only if no other process has changed it in the meantime,
// which is all that a lock needs. The revision can serve as a fence: what a lock guards
// can refuse a write with a smaller one.
package backplane
