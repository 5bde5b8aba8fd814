// Package pglog implements [backplane.Log] and [backplane.Store] in a PostgreSQL database, for
// programs that run as several processes and have such a database anyway.
//
//	pool, err := pgxpool.New(ctx, "postgres://…")
//	…
//	entries, err := pglog.Open(ctx, pool, "cards", nil)
//	store, err := pglog.OpenStore(ctx, pool, "cards", nil)
//
// It does what no broker can: with [Log.Tx] an event is sent if, and only if, the transaction
// commits that changes what the event is about. It needs PostgreSQL 14 or later, and was tested
// with each major version up to 18.
//
// # Guarantees
//
// All processes see the entries of a log in one order, which contains each caller's entries in
// the order of its calls; [Log.Tx] says what the order of transactions is. Entries are numbered
// without a hole. Each process gets an entry once; where it cannot be proven that no entry is
// missing, it gets a [backplane.ErrGap].
//
// An entry for which Append has returned a cursor, and one of a transaction that was
// committed, are as durable as any other change in the database. What a crash or a takeover
// takes back, with synchronous_commit off or an asynchronous replica, is a gap to every
// follower that has seen it, as is a database that is restored from a backup. So is an emptied
// table. But the loss of an entry that no follower has seen is not reported.
//
// The same applies to a store's records: after an older state is restored two processes can
// both hold a lock. The revision of the second holder is greater, so that what the lock guards
// can refuse the first. Times to live run on the server's clock.
//
// A sequence of entries without holes means that a log takes one transaction at a time. Calls
// of Append that come meanwhile are gathered and are the next transaction. Transactions of
// [Log.Tx] are not affected: they neither wait for the log, nor for each other, nor does the
// log wait for them.
//
// docs/scaling.md, in this module's repository, has what that costs, and what happens to
// streams and locks when something dies.
//
// # The schema
//
// The tables and functions are in a schema, pglog unless Options.Schema says otherwise. Open
// makes it if it does not exist; [Schema] returns the statements for those who run migrations
// by themselves. The owner of the schema needs no other rights; another user needs:
//
//	GRANT USAGE ON SCHEMA pglog TO app;
//	GRANT SELECT, INSERT, UPDATE ON pglog.log, pglog.store TO app;
//	GRANT SELECT, INSERT, DELETE ON pglog.entry, pglog.outbox TO app;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON pglog.record TO app;
//
// A program that only dispatches in transactions to a log that exists needs USAGE, SELECT on
// log, and INSERT on outbox.
//
// Entries stay for three minutes, even beyond the log's history, so that their ids are
// recognized; deleted records stay for ten. Old entries are deleted by the processes that
// append and follow, and autovacuum, which must be on, makes room for new ones: a table is as
// large as what it keeps, and a part more. Data is not compressed.
//
// The package uses advisory locks with two keys, the first of which is 1885826151 to
// 1885826154; a channel for notifications with the name of the schema; and settings of the
// connections whose names begin with sse.low_. A transaction that
// notifies makes others that do so wait at their commit, in all databases of the server;
// the package notifies in transactions of their own, which write nothing, and so are short.
//
// # The pool
//
// Any pool works if it is connected to the server that accepts writes. The package uses no
// prepared statements. Where READ COMMITTED is not the default, or a statement_timeout has ended
// a statement, its own transactions set that level, and a statement_timeout of 2 s. It holds a
// connection only for the time of a statement: one for appends, and one for each Follow and
// Watch that has something to read. Beside that, a process has one connection that listens. A
// pool that is exhausted by the program delays all of them. An attempt is abandoned after two
// seconds and repeated.
//
// synchronous_commit=off, in a pool that only this package uses, makes single calls of Append
// faster, which then do not wait for the disk; a crash can take the last of them back. It does
// nothing for the entries of transactions.
//
// A pooler such as PgBouncer that gives connections to others after each transaction passes no
// notifications on. The package notices that, logs a warning, and looks for entries every
// 100 ms instead. Set Options.Listen to the server's own address to have notifications, or
// NoListen to have neither them nor the warning.
package pglog
