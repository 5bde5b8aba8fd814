// Package natslog is a [backplane.Log] and a [backplane.Store] on NATS
// JetStream, for programs that run as several processes.
//
//	nc, err := nats.Connect("nats://a,nats://b,nats://c", natslog.ConnOptions()...)
//	…
//	log, err := natslog.Open(ctx, nc, "cards", nil)
//	store, err := natslog.OpenStore(ctx, nc, "cards", nil)
//
// It needs nats-server 2.11 or later with JetStream, as a cluster of three
// where a server may die. The servers should not be a part of the processes
// that follow: those are many, and come and go, where a cluster is to have few
// members that stay.
//
// # What is promised
//
// All processes see the entries of a log in one order, which is that of a
// caller's own calls. Each gets an entry once; where it cannot be proven that
// none is missing, there is a [backplane.ErrGap]. An entry that Append has
// returned a cursor for is stored on a majority of the servers.
//
// An entry outlives the death of a minority of the servers, as processes. It
// may not outlive all of them losing their power at once: by default a server
// writes to its disk every two minutes (sync_interval); with sync_interval:
// always, each entry waits for the disks. A lost end of the log is noticed, and
// a gap to whoever had seen it.
//
// When the server that leads a log or a store has died, another is elected
// after 4 to 9 seconds; meanwhile Append and Swap wait. That is NATS's, and
// cannot be set.
//
// A store's times to live run on the server's clock.
//
// docs/scaling.md, in this module's repository, has a whole program, what is in
// front of it, and what becomes of streams and locks when something dies.
//
// # What it uses
//
// A log of name cards is the stream SSE_cards, with the subject sse.log._cards,
// and a store of that name the key-value bucket sse_cards. Names of other
// characters than letters, digits, hyphen and underscore are encoded, and those
// of more than 128 bytes are hashed. Whoever is to use them needs permission to
// publish to these subjects ($KV.sse_cards.> for the store), and to
// $JS.API.STREAM.INFO, STREAM.CREATE, STREAM.MSG.GET, CONSUMER.CREATE,
// CONSUMER.DELETE and CONSUMER.MSG.NEXT of these streams, and to subscribe to
// _INBOX.>.
//
// The settings of a stream that is there are not changed, so that two versions
// of a program do not take turns in it. The nats command can do it; a stream
// whose settings break a promise is refused.
// One that was deleted is made again by whoever needs it next: to followers of
// the log that is a gap, and to watchers all records are gone.
package natslog
